-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims as `claim_jobs` does, up to $4 jobs of one tenant ($2) from the score $3 on: for a worker that
-- has just seen that the queue holds none of others, and nothing before that score. The entries of what
-- was claimed stay in the index until a vacuum, and are not walked over then.
-- Locks: rows of ready, SKIP LOCKED; the unique locks that it frees.
-- Index: ready_next, job_pkey, paused_queue_pkey, unique_lock_pkey.
WITH found AS MATERIALIZED (
    SELECT first.place, first.is_limited
    FROM (
        SELECT ready.ctid AS place, ready.is_limited
        FROM forktex_queue.ready
        WHERE ready.queue = $1 AND ready.tenant = $2 AND ready.score >= $3
          AND NOT EXISTS (SELECT FROM forktex_queue.paused_queue AS paused WHERE paused.queue = $1)
        ORDER BY ready.score
        LIMIT $4
        FOR UPDATE SKIP LOCKED
    ) AS first
    -- For the planner, as in `claim_jobs`.
    LIMIT 256
), taken AS (
    DELETE FROM forktex_queue.ready
    WHERE ctid = ANY (ARRAY(SELECT place FROM found WHERE NOT is_limited))
    RETURNING job_id
), claimed AS MATERIALIZED (
    SELECT job.*
    FROM taken
    CROSS JOIN LATERAL (
        -- Found one by one whatever the planner believes of the table.
        SELECT job.job_id, job.generation, job.name, job.tenant, job.payload, job.attempts,
               job.attempts_max, job.timeout_us, job.enqueued_at, job.trace_parent, job.score,
               job.queue, job.unique_key, job.unique_mode
        FROM forktex_queue.job
        WHERE job.job_id = taken.job_id
        OFFSET 0
    ) AS job
), leased AS (
    INSERT INTO forktex_queue.lease (worker_id, taken_at, until, job_ids, generations)
    SELECT $6::uuid, now(), now() + $5::bigint * interval '1 microsecond',
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
       claimed.trace_parent, claimed.score,
       claimed.unique_mode IS DISTINCT FROM 2 AS is_plain,
       leased.lease_id, told.is_limited, told.is_more, $2 AS turn, 1::bigint AS tenants
FROM (
    SELECT coalesce(bool_or(is_limited), false) AS is_limited, count(*) >= $4 AS is_more FROM found
) AS told
LEFT JOIN (claimed CROSS JOIN leased) ON true
