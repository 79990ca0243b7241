-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Goes round as `claim_runs` does, from after ($3, $4) on, runs that limits concern among the others, and
-- over 64 namespaces more than there is room for ($2), as some may be at their limit. Holds the limits
-- that concern what it found, for `claim_limited_runs` in the same transaction. A process that stops
-- between the two loses its transaction within seconds, so that it keeps no limit from the others.
-- Locks: those limits, SKIP LOCKED. Index: active_ready, definition_pkey, running_limit_pkey.
WITH RECURSIVE scan AS (
    SELECT $3::text COLLATE "C" AS namespace, $4::bigint AS definition_id, false AS is_wrapped,
           false AS is_mine, 0 AS step, 0::bigint AS namespaces,
           NULL::text COLLATE "C" AS last_namespace
    UNION ALL
    SELECT next.namespace, next.definition_id, next.is_wrapped, next.is_mine, scan.step + 1,
           scan.namespaces + (
               next.is_mine AND next.namespace IS DISTINCT FROM scan.last_namespace
           )::integer,
           CASE WHEN next.is_mine THEN next.namespace ELSE scan.last_namespace END
    FROM scan
    CROSS JOIN LATERAL (
        SELECT found.namespace, found.definition_id, found.is_wrapped,
               found.definition_id = ANY ($1::bigint[]) AS is_mine
        FROM (
            (
                SELECT coalesce(active.namespace, '') COLLATE "C" AS namespace,
                       active.definition_id, scan.is_wrapped
                FROM forktex_flow.active
                WHERE least(active.losses, 1) = $5
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
                WHERE NOT scan.is_wrapped AND least(active.losses, 1) = $5
                  AND active.ready_at IS NOT NULL AND active.paused_at IS NULL
                ORDER BY coalesce(active.namespace, '') COLLATE "C", active.definition_id
                LIMIT 1
            )
            LIMIT 1
        ) AS found
    ) AS next
    WHERE scan.step < 1000
      AND (scan.namespaces < $2 + 64 OR next.namespace = scan.last_namespace)
      AND NOT (next.is_wrapped AND (next.namespace, next.definition_id) > ($3, $4))
), concern AS MATERIALIZED (
    SELECT DISTINCT running_limit.namespace, running_limit.workflow_name
    FROM scan
    JOIN forktex_flow.definition ON definition.definition_id = scan.definition_id
    JOIN forktex_flow.running_limit
        ON running_limit.namespace IN ('', scan.namespace)
        AND running_limit.workflow_name IN ('', definition.workflow_name)
    WHERE scan.is_mine
), held AS MATERIALIZED (
    SELECT running_limit.namespace, running_limit.workflow_name
    FROM concern
    JOIN forktex_flow.running_limit
        ON running_limit.namespace = concern.namespace
        AND running_limit.workflow_name = concern.workflow_name
    FOR UPDATE OF running_limit SKIP LOCKED
)
SELECT set_config('idle_in_transaction_session_timeout', '5s', true) AS idle_limit,
       last.namespace AS turn_namespace, last.definition_id AS turn_definition_id,
       last.step = 1000 OR last.namespaces >= $2 + 64 AS is_cut,
       ARRAY(SELECT namespace FROM scan WHERE is_mine ORDER BY step) AS namespaces,
       ARRAY(SELECT definition_id FROM scan WHERE is_mine ORDER BY step) AS definition_ids,
       (SELECT count(*) FROM concern) > (SELECT count(*) FROM held) AS is_contended,
       held.namespaces AS held_namespaces, held.workflow_names AS held_workflow_names
FROM (SELECT * FROM scan ORDER BY step DESC LIMIT 1) AS last
CROSS JOIN (
    SELECT coalesce(array_agg(namespace), '{}') AS namespaces,
           coalesce(array_agg(workflow_name), '{}') AS workflow_names
    FROM held
) AS held
