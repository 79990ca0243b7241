-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes the ends of attempts, whatever they are ($3): 0 the job is removed; 1 it is due again, and 2 dead,
-- the attempt counted; 3 it is due again and the attempt is not counted. Due again is $4, in microseconds
-- from now; what is due at once is ready, and what was handed back keeps its place in the order then.
-- A job that was asked to end is removed, whatever is said of it. One that is in another generation
-- by now is another's, and stays. Says which were taken, and what limits have room again.
-- Locks: the jobs, in the order in which they are given; their unique locks.
-- Index: job_pkey, unique_lock_pkey, limit_running_pkey, ready_next.
WITH held AS MATERIALIZED (
    SELECT job.job_id, given.generation, job.queue, job.unique_key, job.unique_mode, job.limit_key,
           CASE WHEN job.is_cancelling THEN 0 ELSE given.outcome END AS outcome,
           given.delay_us, given.note, given.dead_reason
    FROM unnest($1::uuid[], $2::integer[], $3::smallint[], $4::bigint[], $5::text[], $6::text[])
        AS given (job_id, generation, outcome, delay_us, note, dead_reason)
    CROSS JOIN LATERAL (
        SELECT job.job_id, job.queue, job.unique_key, job.unique_mode, job.limit_key, job.is_cancelling
        FROM forktex_queue.job
        WHERE job.job_id = given.job_id AND job.generation = given.generation AND job.place = 0
        FOR UPDATE
    ) AS job
), clock AS MATERIALIZED (
    SELECT now() AS now_at, (extract(epoch FROM now()) * 1000000)::bigint AS now_us
), removed AS (
    DELETE FROM forktex_queue.job
    USING held
    WHERE job.job_id = held.job_id AND held.outcome = 0
), moved AS (
    UPDATE forktex_queue.job
    SET generation = job.generation + 1,
        attempts = job.attempts + CASE WHEN held.outcome = 3 THEN 0 ELSE 1 END,
        place = CASE WHEN held.outcome = 2 THEN 3 WHEN held.delay_us > 0 THEN 1 ELSE 0 END,
        due_at = CASE
            WHEN held.outcome = 2 OR (held.outcome = 3 AND held.delay_us = 0) THEN job.due_at
            ELSE clock.now_at + held.delay_us * interval '1 microsecond' END,
        score = CASE
            WHEN held.outcome = 2 OR (held.outcome = 3 AND held.delay_us = 0) THEN job.score
            ELSE clock.now_us + held.delay_us - job.priority::bigint * 30000000 END,
        is_deferred = false,
        started_at = NULL, lease_until = NULL,
        died_at = CASE WHEN held.outcome = 2 THEN clock.now_at END,
        dead_reason = held.dead_reason,
        note = coalesce(held.note, job.note)
    FROM held CROSS JOIN clock
    WHERE job.job_id = held.job_id AND held.outcome <> 0
    RETURNING job.job_id, job.queue, job.tenant, job.score, job.place, job.limit_key
), readied AS (
    INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
    SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM moved WHERE place = 0
), freed AS (
    DELETE FROM forktex_queue.unique_lock
    USING held
    WHERE held.outcome IN (0, 2) AND held.unique_mode = 2 AND unique_lock.queue = held.queue
      AND unique_lock.unique_key = held.unique_key AND unique_lock.job_id = held.job_id
), uncounted AS (
    DELETE FROM forktex_queue.limit_running AS running
    USING held
    WHERE held.limit_key IS NOT NULL AND running.queue = held.queue
      AND running.limit_key = held.limit_key AND running.job_id = held.job_id
)
SELECT job_id, generation, queue, limit_key FROM held
