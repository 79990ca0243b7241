-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims the jobs whose rows of `ready` are at $1, which `find_limited_jobs` holds and whose limits let
-- them start at $2 (microseconds since 1970): counts them, and answers as `claim_jobs` does.
-- Locks: rows of ready, which are held already; the unique locks that it frees.
-- Index: job_pkey, limit_running_pkey, rate_start_of_key, unique_lock_pkey.
WITH taken AS (
    DELETE FROM forktex_queue.ready
    WHERE ctid = ANY ($1::text[]::tid[])
    RETURNING job_id
), claimed AS MATERIALIZED (
    SELECT job.*
    FROM taken
    CROSS JOIN LATERAL (
        SELECT job.job_id, job.generation, job.name, job.tenant, job.payload, job.attempts,
               job.attempts_max, job.timeout_us, job.enqueued_at, job.trace_parent, job.score,
               job.queue, job.unique_key, job.unique_mode, job.limit_key, job.rate_count,
               job.rate_per_us
        FROM forktex_queue.job
        WHERE job.job_id = taken.job_id
        OFFSET 0
    ) AS job
), counted AS (
    INSERT INTO forktex_queue.limit_running (queue, limit_key, job_id)
    SELECT queue, limit_key, job_id FROM claimed
), started AS (
    INSERT INTO forktex_queue.rate_start (queue, limit_key, started_at, until)
    SELECT queue, limit_key, timestamptz 'epoch' + $2::bigint * interval '1 microsecond',
           timestamptz 'epoch' + ($2::bigint + rate_per_us) * interval '1 microsecond'
    FROM claimed
    WHERE rate_count IS NOT NULL
), leased AS (
    INSERT INTO forktex_queue.lease (worker_id, taken_at, until, job_ids, generations)
    SELECT $4::uuid, clock_timestamp(), clock_timestamp() + $3::bigint * interval '1 microsecond',
           array_agg(job_id), array_agg(generation)
    FROM claimed
    HAVING count(*) > 0
    RETURNING lease_id
), freed AS (
    DELETE FROM forktex_queue.unique_lock
    USING claimed
    WHERE claimed.unique_mode = 1 AND unique_lock.queue = claimed.queue
      AND unique_lock.unique_key = claimed.unique_key AND unique_lock.job_id = claimed.job_id
)
SELECT claimed.job_id, claimed.generation, claimed.name, claimed.tenant, claimed.payload,
       claimed.attempts, claimed.attempts_max, claimed.timeout_us, claimed.enqueued_at,
       claimed.trace_parent, claimed.score, false AS is_plain, leased.lease_id
FROM claimed CROSS JOIN leased
