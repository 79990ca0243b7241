-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Finds the jobs of the queue $1 at the front that a limit concerns, going round the tenants as
-- `claim_jobs` does ($2, $3), and holds them for the statements that follow in the same transaction. A
-- process that stops between them loses its transaction within seconds, so that it keeps no limit from
-- the others.
-- Locks: rows of ready, SKIP LOCKED. Index: ready_next for each tenant, job_pkey, paused_queue_pkey.
WITH RECURSIVE scan AS (
    SELECT 1 AS step, next.tenant, next.is_wrapped
    FROM (
        (
            SELECT ready.tenant, false AS is_wrapped
            FROM forktex_queue.ready
            WHERE ready.queue = $1 AND ready.tenant > $2
            ORDER BY ready.tenant
            LIMIT 1
        )
        UNION ALL
        (
            SELECT ready.tenant, true
            FROM forktex_queue.ready
            WHERE ready.queue = $1 AND ready.tenant <= $2
            ORDER BY ready.tenant
            LIMIT 1
        )
        LIMIT 1
    ) AS next
    WHERE NOT EXISTS (SELECT FROM forktex_queue.paused_queue AS paused WHERE paused.queue = $1)
    UNION ALL
    SELECT scan.step + 1, next.tenant, next.is_wrapped
    FROM scan
    CROSS JOIN LATERAL (
        (
            SELECT ready.tenant, scan.is_wrapped
            FROM forktex_queue.ready
            WHERE ready.queue = $1 AND ready.tenant > scan.tenant
              AND (NOT scan.is_wrapped OR ready.tenant <= $2)
            ORDER BY ready.tenant
            LIMIT 1
        )
        UNION ALL
        (
            SELECT ready.tenant, true
            FROM forktex_queue.ready
            WHERE NOT scan.is_wrapped AND ready.queue = $1 AND ready.tenant <= $2
            ORDER BY ready.tenant
            LIMIT 1
        )
        LIMIT 1
    ) AS next
    WHERE scan.step < $3::bigint
), told AS (
    SELECT greatest($3::bigint / greatest(count(*), 1), 1) AS quota FROM scan
), found AS MATERIALIZED (
    SELECT front.place, front.job_id, scan.step
    FROM told
    CROSS JOIN scan
    CROSS JOIN LATERAL (
        SELECT first.place, first.job_id, first.is_limited
        FROM (
            SELECT ready.ctid AS place, ready.job_id, ready.is_limited
            FROM forktex_queue.ready
            WHERE ready.queue = $1 AND ready.tenant = scan.tenant
            ORDER BY ready.score
            LIMIT told.quota
            FOR UPDATE SKIP LOCKED
        ) AS first
        -- For the planner, as in `claim_jobs`.
        LIMIT 256
    ) AS front
    WHERE front.is_limited
)
SELECT found.place::text AS place, job.job_id, job.score, job.limit_key, job.limit_concurrency,
       job.rate_count, job.rate_per_us, job.is_deferred,
       set_config('idle_in_transaction_session_timeout', '5s', true) AS idle_limit
FROM found
CROSS JOIN LATERAL (
    SELECT job.job_id, job.score, job.limit_key, job.limit_concurrency, job.rate_count,
           job.rate_per_us, job.is_deferred
    FROM forktex_queue.job
    WHERE job.job_id = found.job_id AND job.limit_key IS NOT NULL
    OFFSET 0
) AS job
ORDER BY job.score
