-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Makes held jobs ready where their limits have room again: for each of these keys, as many as the number
-- that the first of them carries leaves beside those that run.
-- Locks: those jobs, SKIP LOCKED; after `lock_limits`. Index: job_held, limit_running_pkey, job_pkey.
WITH key AS (
    SELECT DISTINCT queue COLLATE "C" AS queue, limit_key COLLATE "C" AS limit_key
    FROM unnest($1::text[], $2::text[]) AS given (queue, limit_key)
), room AS MATERIALIZED (
    SELECT key.queue, key.limit_key,
           greatest(coalesce(first.limit_concurrency, 1) - (
               SELECT count(*)
               FROM forktex_queue.limit_running AS running
               WHERE running.queue = key.queue AND running.limit_key = key.limit_key
           ), 0) AS jobs
    FROM key
    CROSS JOIN LATERAL (
        SELECT job.limit_concurrency
        FROM forktex_queue.job
        WHERE job.queue = key.queue AND job.limit_key = key.limit_key AND job.place = 2
        ORDER BY job.score
        LIMIT 1
    ) AS first
), let_go AS MATERIALIZED (
    SELECT held.place, held.job_id
    FROM room
    CROSS JOIN LATERAL (
        SELECT job.ctid AS place, job.job_id
        FROM forktex_queue.job
        WHERE job.queue = room.queue AND job.limit_key = room.limit_key AND job.place = 2
        ORDER BY job.score
        LIMIT least(room.jobs, 1000)
        FOR UPDATE SKIP LOCKED
    ) AS held
), moved AS (
    UPDATE forktex_queue.job
    SET place = 0
    WHERE ctid = ANY (ARRAY(SELECT place FROM let_go))
    RETURNING job_id, queue, tenant, score
)
INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
SELECT score, job_id, true, queue, tenant FROM moved
