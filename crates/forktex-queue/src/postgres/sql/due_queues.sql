-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The queues, 1,000 at most, that have jobs whose time has come: each found by two lookups.
-- Locks: none. Index: job_scheduled.
WITH RECURSIVE scan AS (
    (
        SELECT 1 AS step, job.queue
        FROM forktex_queue.job
        WHERE job.place = 1
        ORDER BY job.queue
        LIMIT 1
    )
    UNION ALL
    SELECT scan.step + 1, next.queue
    FROM scan
    CROSS JOIN LATERAL (
        SELECT job.queue
        FROM forktex_queue.job
        WHERE job.place = 1 AND job.queue > scan.queue
        ORDER BY job.queue
        LIMIT 1
    ) AS next
    WHERE scan.step < 1000
)
SELECT scan.queue
FROM scan
WHERE EXISTS (
    SELECT FROM forktex_queue.job
    WHERE job.queue = scan.queue AND job.place = 1 AND job.due_at <= now()
)
