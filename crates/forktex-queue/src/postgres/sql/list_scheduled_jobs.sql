-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- As `list_jobs`, those that are due later.
-- Locks: none. Index: job_scheduled, job_pkey.
WITH page AS MATERIALIZED (
    SELECT job.job_id, 'scheduled' AS status
    FROM forktex_queue.job
    WHERE job.place = 1 AND job.due_at > now()
      AND ($4::uuid IS NULL OR job.job_id > $4)
      AND ($1::text IS NULL OR job.queue = $1)
      AND ($2::text IS NULL OR job.name = $2)
      AND ($3::text IS NULL OR job.tenant = $3)
    ORDER BY job.job_id
    LIMIT $5
), held AS (
    SELECT given.job_id, given.generation, min(lease.taken_at) AS taken_at, max(lease.until) AS until
    FROM forktex_queue.lease
    CROSS JOIN LATERAL unnest(lease.job_ids, lease.generations) AS given (job_id, generation)
    WHERE given.job_id IN (SELECT page.job_id FROM page WHERE page.status = 'running')
    GROUP BY given.job_id, given.generation
)
SELECT job.job_id, job.name, job.queue, job.tenant, page.status, job.payload, job.priority,
       job.attempts + CASE WHEN page.status = 'running' THEN 1 ELSE 0 END AS attempts,
       job.attempts_max, job.timeout_us, job.unique_key, job.limit_key, job.enqueued_at,
       coalesce(job.due_at, job.enqueued_at) AS due_at,
       coalesce(job.started_at, held.taken_at) AS started_at,
       coalesce(job.lease_until, held.until) AS lease_until,
       job.is_cancelling, job.note, job.dead_reason, job.died_at
FROM page
JOIN forktex_queue.job ON job.job_id = page.job_id
LEFT JOIN held ON held.job_id = job.job_id AND held.generation = job.generation
ORDER BY job.job_id
