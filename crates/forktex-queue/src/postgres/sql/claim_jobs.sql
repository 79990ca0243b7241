-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims up to $3 jobs of the queue $1 that no limit concerns, going round the tenants that have some,
-- from after the tenant $2 on: as many of each, the first by score. To claim is to delete from `ready`;
-- of `job` nothing is written. One row of `lease` says who holds them. Unique locks that end with the
-- start are freed. What a limit concerns stays, and the answer says that there is some.
-- The first row holds what the answer tells besides the jobs.
-- Locks: rows of ready, SKIP LOCKED; the unique locks that it frees.
-- Index: ready_next for each tenant, job_pkey, paused_queue_pkey, unique_lock_pkey.
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
    SELECT count(*) AS tenants, greatest($3::bigint / greatest(count(*), 1), 1) AS quota FROM scan
), found AS MATERIALIZED (
    SELECT front.place, front.is_limited, front.rank >= told.quota AS is_last
    FROM told
    CROSS JOIN scan
    CROSS JOIN LATERAL (
        SELECT locked.place, locked.is_limited, row_number() OVER () AS rank
        FROM (
            SELECT first.place, first.is_limited
            FROM (
                SELECT ready.ctid AS place, ready.is_limited
                FROM forktex_queue.ready
                WHERE ready.queue = $1 AND ready.tenant = scan.tenant
                ORDER BY ready.score
                LIMIT told.quota
                FOR UPDATE SKIP LOCKED
            ) AS first
            -- No more are ever asked for. The planner takes a limit that it does not know for a tenth of
            -- the table, and has a statement compiled that it believes to be so dear.
            LIMIT 256
        ) AS locked
    ) AS front
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
    SELECT $5::uuid, now(), now() + $4::bigint * interval '1 microsecond',
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
       leased.lease_id, told.is_limited, told.is_more, told.turn, told.tenants
FROM (
    SELECT told.tenants, (SELECT tenant FROM scan ORDER BY step DESC LIMIT 1) AS turn,
           coalesce(bool_or(found.is_limited), false) AS is_limited,
           coalesce(bool_or(found.is_last), false) OR told.tenants >= $3::bigint AS is_more
    FROM told LEFT JOIN found ON true
    GROUP BY told.tenants
) AS told
LEFT JOIN (claimed CROSS JOIN leased) ON true
