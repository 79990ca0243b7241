-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The queues that have jobs or are paused, by name, 1,000 at most: of each kind of job they are found one
-- lookup each.
-- Locks: none. Index: ready_next, job_scheduled, job_held, job_dead, job_pkey; the leases are read whole.
WITH RECURSIVE readied AS (
    (
        SELECT 1 AS step, queue
        FROM forktex_queue.ready
        ORDER BY queue
        LIMIT 1
    )
    UNION ALL
    SELECT readied.step + 1, next.queue
    FROM readied
    CROSS JOIN LATERAL (
        SELECT ready.queue
        FROM forktex_queue.ready
        WHERE ready.queue > readied.queue
        ORDER BY ready.queue
        LIMIT 1
    ) AS next
    WHERE readied.step < 1000
), scheduled AS (
    (
        SELECT 1 AS step, queue
        FROM forktex_queue.job
        WHERE place = 1
        ORDER BY queue
        LIMIT 1
    )
    UNION ALL
    SELECT scheduled.step + 1, next.queue
    FROM scheduled
    CROSS JOIN LATERAL (
        SELECT job.queue
        FROM forktex_queue.job
        WHERE place = 1 AND job.queue > scheduled.queue
        ORDER BY job.queue
        LIMIT 1
    ) AS next
    WHERE scheduled.step < 1000
), held AS (
    (
        SELECT 1 AS step, queue
        FROM forktex_queue.job
        WHERE place = 2
        ORDER BY queue
        LIMIT 1
    )
    UNION ALL
    SELECT held.step + 1, next.queue
    FROM held
    CROSS JOIN LATERAL (
        SELECT job.queue
        FROM forktex_queue.job
        WHERE place = 2 AND job.queue > held.queue
        ORDER BY job.queue
        LIMIT 1
    ) AS next
    WHERE held.step < 1000
), dead AS (
    (
        SELECT 1 AS step, queue
        FROM forktex_queue.job
        WHERE place = 3
        ORDER BY queue
        LIMIT 1
    )
    UNION ALL
    SELECT dead.step + 1, next.queue
    FROM dead
    CROSS JOIN LATERAL (
        SELECT job.queue
        FROM forktex_queue.job
        WHERE place = 3 AND job.queue > dead.queue
        ORDER BY job.queue
        LIMIT 1
    ) AS next
    WHERE dead.step < 1000
)
SELECT queue
FROM (
    SELECT queue FROM readied
    UNION SELECT queue FROM scheduled
    UNION SELECT queue FROM held
    UNION SELECT queue FROM dead
    UNION SELECT queue FROM forktex_queue.paused_queue
    UNION SELECT job.queue
    FROM forktex_queue.lease
    CROSS JOIN LATERAL unnest(lease.job_ids, lease.generations) AS given (job_id, generation)
    JOIN forktex_queue.job
        ON job.job_id = given.job_id AND job.generation = given.generation AND job.place = 0
) AS known
ORDER BY queue
LIMIT 1000
