-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Makes up to $2 jobs of the queue $1 ready whose time has come, the first due first, and tells how long
-- it is until the next.
-- Locks: those jobs, SKIP LOCKED. Index: job_scheduled.
WITH due AS MATERIALIZED (
    SELECT first.place
    FROM (
        SELECT job.ctid AS place
        FROM forktex_queue.job
        WHERE job.queue = $1 AND job.place = 1 AND job.due_at <= now()
        ORDER BY job.due_at
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    ) AS first
    -- For the planner, as in `claim_jobs`.
    LIMIT 1000
), moved AS (
    UPDATE forktex_queue.job
    SET place = 0
    WHERE ctid = ANY (ARRAY(SELECT place FROM due))
    RETURNING job_id, queue, tenant, score, limit_key
), readied AS (
    INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
    SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM moved
    RETURNING 1
)
SELECT (SELECT count(*) FROM readied) AS promoted,
       (
           SELECT ceil(extract(epoch FROM job.due_at - now()) * 1000000)::bigint
           FROM forktex_queue.job
           WHERE job.queue = $1 AND job.place = 1 AND job.due_at > now()
           ORDER BY job.due_at
           LIMIT 1
       ) AS next_due_us
