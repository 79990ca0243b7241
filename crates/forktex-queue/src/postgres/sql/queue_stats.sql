-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- How much is in a queue. The ready, scheduled, held and dead jobs are counted one by one, in their
-- indexes.
-- Locks: none. Index: ready_next, job_scheduled, job_held, job_dead, job_pkey, paused_queue_pkey; the
-- leases are read whole.
WITH first AS MATERIALIZED (
    SELECT ready.job_id, count(*) OVER () AS jobs
    FROM forktex_queue.ready
    WHERE ready.queue = $1
    ORDER BY ready.score
    LIMIT 1
), due AS MATERIALIZED (
    SELECT count(*) AS jobs, min(job.due_at) AS since
    FROM forktex_queue.job
    WHERE job.queue = $1 AND job.place = 1 AND job.due_at <= now()
)
SELECT coalesce((SELECT jobs FROM first), 0) + due.jobs AS ready,
       (
           SELECT count(*) FROM forktex_queue.job
           WHERE job.queue = $1 AND job.place = 1 AND job.due_at > now()
       ) AS scheduled,
       (SELECT count(*) FROM forktex_queue.job WHERE job.queue = $1 AND job.place = 2) AS held,
       (SELECT count(*) FROM forktex_queue.job WHERE job.queue = $1 AND job.place = 3) AS dead,
       (
           SELECT count(DISTINCT job.job_id)
           FROM forktex_queue.lease
           CROSS JOIN LATERAL unnest(lease.job_ids, lease.generations) AS given (job_id, generation)
           JOIN forktex_queue.job
               ON job.job_id = given.job_id AND job.generation = given.generation AND job.place = 0
           WHERE job.queue = $1
       ) AS running,
       greatest((extract(epoch FROM now() - least(due.since, (
           SELECT coalesce(job.due_at, job.enqueued_at)
           FROM first JOIN forktex_queue.job ON job.job_id = first.job_id
       ))) * 1000000)::bigint, 0) AS oldest_ready_us,
       EXISTS (SELECT FROM forktex_queue.paused_queue AS paused WHERE paused.queue = $1) AS is_paused
FROM due
