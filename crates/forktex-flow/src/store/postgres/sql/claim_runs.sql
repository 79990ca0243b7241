-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims up to $3 runs of the given definitions, ready ones ($6 = 0) or suspects ($6 = 1). It goes round
-- the namespaces and definitions that have some, from after ($4, $5) on, over 1,000 of them at most and
-- not more namespaces than it can claim runs: one run of each namespace, then a second of each, and so
-- on; those of a namespace by priority, then the oldest. Runs that a limit concerns are left out, and
-- `claim_limited_runs` is for them.
-- A worker without a lease gets none. The first row holds what the answer tells besides the runs.
-- Locks: candidates, SKIP LOCKED; those beyond $3 only until the statement ends.
-- Index: active_ready for each of those it goes round, instance_pkey.
WITH RECURSIVE scan AS (
    SELECT $4::text COLLATE "C" AS namespace, $5::bigint AS definition_id, false AS is_wrapped,
           false AS is_mine, false AS is_limited, 0 AS step, 0::bigint AS namespaces,
           NULL::text COLLATE "C" AS last_namespace
    UNION ALL
    SELECT next.namespace, next.definition_id, next.is_wrapped,
           next.is_mine, next.is_limited, scan.step + 1,
           scan.namespaces + (
               next.is_mine AND next.namespace IS DISTINCT FROM scan.last_namespace
           )::integer,
           CASE WHEN next.is_mine THEN next.namespace ELSE scan.last_namespace END
    FROM scan
    CROSS JOIN LATERAL (
        SELECT found.namespace, found.definition_id, found.is_wrapped,
               found.definition_id = ANY ($2::bigint[]) AND NOT concerned.is_limited AS is_mine,
               found.definition_id = ANY ($2::bigint[]) AND concerned.is_limited AS is_limited
        FROM (
            (
                SELECT coalesce(active.namespace, '') COLLATE "C" AS namespace,
                       active.definition_id, scan.is_wrapped
                FROM forktex_flow.active
                WHERE least(active.losses, 1) = $6
                  AND active.ready_at IS NOT NULL AND active.paused_at IS NULL
                  AND (coalesce(active.namespace, '') COLLATE "C", active.definition_id)
                      > (scan.namespace, scan.definition_id)
                ORDER BY coalesce(active.namespace, '') COLLATE "C", active.definition_id
                LIMIT 1
            )
            UNION ALL
            (
                SELECT coalesce(active.namespace, '') COLLATE "C",
                       active.definition_id, true
                FROM forktex_flow.active
                WHERE NOT scan.is_wrapped AND least(active.losses, 1) = $6
                  AND active.ready_at IS NOT NULL AND active.paused_at IS NULL
                ORDER BY coalesce(active.namespace, '') COLLATE "C", active.definition_id
                LIMIT 1
            )
            LIMIT 1
        ) AS found
        CROSS JOIN LATERAL (
            SELECT (SELECT EXISTS (SELECT FROM forktex_flow.running_limit)) AND EXISTS (
                SELECT FROM forktex_flow.running_limit AS concern
                WHERE concern.namespace IN ('', found.namespace)
                  AND concern.workflow_name IN ('', (
                      SELECT definition.workflow_name FROM forktex_flow.definition
                      WHERE definition.definition_id = found.definition_id
                  ))
            ) AS is_limited
            OFFSET 0
        ) AS concerned
    ) AS next
    WHERE scan.step < 1000
      AND (scan.namespaces < $3 OR next.namespace = scan.last_namespace)
      AND NOT (next.is_wrapped AND (next.namespace, next.definition_id) > ($4, $5))
), told AS (
    SELECT last.namespace, last.definition_id,
           greatest(($3 + last.namespaces - 1) / greatest(last.namespaces, 1), 1) AS quota,
           last.step = 1000 OR last.namespaces >= $3 AS is_cut,
           EXISTS (SELECT FROM scan WHERE is_limited) AS is_limited
    FROM scan AS last
    ORDER BY last.step DESC
    LIMIT 1
), found AS MATERIALIZED (
    SELECT ready.instance_id, ready.priority, ready.ready_at, scan.namespace, told.quota
    FROM told
    CROSS JOIN scan
    CROSS JOIN LATERAL (
        SELECT active.instance_id, active.priority, active.ready_at
        FROM forktex_flow.active
        WHERE least(active.losses, 1) = $6
          AND coalesce(active.namespace, '') COLLATE "C" = scan.namespace
          AND active.definition_id = scan.definition_id
          AND active.ready_at IS NOT NULL AND active.paused_at IS NULL
        ORDER BY active.priority DESC, active.ready_at
        LIMIT told.quota
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS ready
    WHERE scan.is_mine
      AND EXISTS (
          SELECT FROM forktex_flow.worker
          WHERE worker_id = $1 AND retired_at IS NULL AND lease_until > now()
      )
), ranked AS (
    SELECT instance_id, priority, ready_at,
           row_number() OVER (PARTITION BY namespace ORDER BY priority DESC, ready_at) AS rank
    FROM found
), candidate AS MATERIALIZED (
    SELECT instance_id
    FROM ranked
    ORDER BY rank, priority DESC, ready_at
    LIMIT $3
), claimed AS (
    UPDATE forktex_flow.active
    SET worker_id = $1, ready_at = NULL, epoch = active.epoch + 1, alone = $6 = 1,
        started_at = coalesce(active.started_at, now())
    FROM candidate
    WHERE active.instance_id = candidate.instance_id
    RETURNING active.instance_id, active.epoch, active.lost_attempts, active.deadline_at,
              active.undo_reason
)
SELECT told.namespace AS turn_namespace, told.definition_id AS turn_definition_id,
       told.is_cut OR EXISTS (
           SELECT FROM found GROUP BY namespace HAVING count(*) >= min(quota)
       ) AS is_more,
       told.is_limited,
       claimed.instance_id, claimed.epoch, claimed.lost_attempts, claimed.deadline_at,
       claimed.undo_reason,
       instance.definition_id, instance.namespace, instance.input, instance.metadata,
       instance.parent_id IS NOT NULL AS is_child,
       instance.retry_of IS NULL AND claimed.epoch = 1 AS is_fresh,
       clock_timestamp() AS claimed_at
FROM told
LEFT JOIN (
    claimed JOIN forktex_flow.instance ON instance.instance_id = claimed.instance_id
) ON true
