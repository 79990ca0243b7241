-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Up to $3 of the limits that hold jobs, each found by one lookup, after ($1, $2).
-- Locks: none. Index: job_held.
WITH RECURSIVE scan AS (
    (
        SELECT 1 AS step, job.queue, job.limit_key
        FROM forktex_queue.job
        WHERE job.place = 2 AND (job.queue, job.limit_key) > ($1, $2)
        ORDER BY job.queue, job.limit_key
        LIMIT 1
    )
    UNION ALL
    SELECT scan.step + 1, next.queue, next.limit_key
    FROM scan
    CROSS JOIN LATERAL (
        SELECT job.queue, job.limit_key
        FROM forktex_queue.job
        WHERE job.place = 2 AND (job.queue, job.limit_key) > (scan.queue, scan.limit_key)
        ORDER BY job.queue, job.limit_key
        LIMIT 1
    ) AS next
    WHERE scan.step < $3::integer
)
SELECT queue, limit_key FROM scan ORDER BY step
