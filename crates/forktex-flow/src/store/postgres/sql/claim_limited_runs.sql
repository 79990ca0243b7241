-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims as `claim_runs` does, up to $4 runs of the namespaces $2 and definitions $3 that
-- `hold_running_limits` found, so that no limit is passed; ready ones ($5 = 0) or suspects ($5 = 1). What
-- a limit concerns that is not among those held ($6, $7) is left to the claimer that holds it.
-- A run counts while it is owned by a worker that is not retired: a worker whose lease is over may yet
-- renew it, and one that is retired never does. Nothing else is counted, so that nothing can leak.
-- A statement of its own, as it must see what was claimed before the limits were held.
-- Locks: candidates, SKIP LOCKED; those beyond $4 only until the transaction ends.
-- Index: definition_pkey, running_limit_pkey, active_by_worker, active_ready, instance_pkey.
WITH pair AS MATERIALIZED (
    SELECT pair.step, pair.namespace COLLATE "C" AS namespace, pair.definition_id,
           definition.workflow_name
    FROM unnest($2::text[], $3::bigint[])
        WITH ORDINALITY AS pair (namespace, definition_id, step)
    JOIN forktex_flow.definition ON definition.definition_id = pair.definition_id
), concern AS MATERIALIZED (
    SELECT pair.step, running_limit.namespace, running_limit.workflow_name,
           running_limit.max_running
    FROM pair
    JOIN forktex_flow.running_limit
        ON running_limit.namespace IN ('', pair.namespace)
        AND running_limit.workflow_name IN ('', pair.workflow_name)
), used AS MATERIALIZED (
    SELECT coalesce(active.namespace, '') COLLATE "C" AS namespace, definition.workflow_name,
           count(*) AS running
    FROM forktex_flow.worker
    JOIN forktex_flow.active ON active.worker_id = worker.worker_id
    JOIN forktex_flow.definition ON definition.definition_id = active.definition_id
    WHERE worker.retired_at IS NULL AND EXISTS (SELECT FROM concern)
    GROUP BY 1, 2
), place AS MATERIALIZED (
    SELECT kept.namespace, kept.workflow_name,
           kept.max_running - (
               SELECT coalesce(sum(used.running), 0)
               FROM used
               WHERE kept.namespace IN ('', used.namespace)
                 AND kept.workflow_name IN ('', used.workflow_name)
           ) AS places,
           EXISTS (
               SELECT FROM unnest($6::text[], $7::text[]) AS held (namespace, workflow_name)
               WHERE held.namespace = kept.namespace
                 AND held.workflow_name = kept.workflow_name
           ) AS is_held
    FROM (SELECT DISTINCT namespace, workflow_name, max_running FROM concern) AS kept
), open AS (
    SELECT pair.step, pair.namespace, pair.definition_id,
           coalesce(min(place.places), 1000000000)::bigint AS places
    FROM pair
    LEFT JOIN concern ON concern.step = pair.step
    LEFT JOIN place
        ON place.namespace = concern.namespace AND place.workflow_name = concern.workflow_name
    GROUP BY pair.step, pair.namespace, pair.definition_id
    HAVING coalesce(bool_and(place.is_held AND place.places > 0), true)
), numbered AS (
    SELECT first.*, dense_rank() OVER (ORDER BY first.first_step) AS number
    FROM (
        SELECT open.*, min(open.step) OVER (PARTITION BY open.namespace) AS first_step FROM open
    ) AS first
), chosen AS MATERIALIZED (
    SELECT step, namespace, definition_id, places, number FROM numbered WHERE number <= $4
), told AS (
    SELECT greatest(($4 + max(number) - 1) / greatest(max(number), 1), 1) AS quota,
           (SELECT min(first_step) - 1 FROM numbered WHERE number = $4 + 1) AS turn_step
    FROM chosen
), found AS MATERIALIZED (
    SELECT ready.instance_id, ready.priority, ready.ready_at,
           chosen.step, chosen.namespace, chosen.places, told.quota
    FROM told
    CROSS JOIN chosen
    CROSS JOIN LATERAL (
        SELECT active.instance_id, active.priority, active.ready_at
        FROM forktex_flow.active
        WHERE least(active.losses, 1) = $5
          AND coalesce(active.namespace, '') COLLATE "C" = chosen.namespace
          AND active.definition_id = chosen.definition_id
          AND active.ready_at IS NOT NULL AND active.paused_at IS NULL
        ORDER BY active.priority DESC, active.ready_at
        LIMIT least(told.quota, chosen.places)
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS ready
    WHERE EXISTS (
        SELECT FROM forktex_flow.worker
        WHERE worker_id = $1 AND retired_at IS NULL AND lease_until > clock_timestamp()
    )
), ranked AS MATERIALIZED (
    SELECT instance_id, priority, ready_at, step,
           row_number() OVER (PARTITION BY namespace ORDER BY priority DESC, ready_at) AS rank
    FROM found
), over AS (
    -- The first of the whole order has the first place of each limit, so that some go on in any case.
    SELECT placed.instance_id
    FROM (
        SELECT ranked.instance_id, place.places,
               row_number() OVER (
                   PARTITION BY place.namespace, place.workflow_name
                   ORDER BY ranked.rank, ranked.priority DESC, ranked.ready_at, ranked.instance_id
               ) AS position
        FROM ranked
        JOIN concern ON concern.step = ranked.step
        JOIN place
            ON place.namespace = concern.namespace
            AND place.workflow_name = concern.workflow_name
    ) AS placed
    WHERE placed.position > placed.places
), candidate AS MATERIALIZED (
    SELECT ranked.instance_id
    FROM ranked
    WHERE NOT EXISTS (SELECT FROM over WHERE over.instance_id = ranked.instance_id)
    ORDER BY ranked.rank, ranked.priority DESC, ranked.ready_at, ranked.instance_id
    LIMIT $4
), claimed AS (
    UPDATE forktex_flow.active
    SET worker_id = $1, ready_at = NULL, epoch = active.epoch + 1, alone = $5 = 1,
        started_at = coalesce(active.started_at, now())
    FROM candidate
    WHERE active.instance_id = candidate.instance_id
    RETURNING active.instance_id, active.epoch, active.lost_attempts, active.deadline_at,
              active.undo_reason
)
SELECT told.turn_step,
       EXISTS (
           SELECT FROM found GROUP BY step HAVING count(*) >= min(quota) AND min(quota) < min(places)
       ) OR (SELECT count(*) FROM found) > (SELECT count(*) FROM candidate) AS is_more,
       EXISTS (SELECT FROM concern) AS is_limited,
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
