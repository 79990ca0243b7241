-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims up to $3 ready runs of the given definitions: highest priority first, then oldest.
-- A worker without a lease gets none. Locks: candidates, SKIP LOCKED; those beyond the limit only until the statement ends.
-- Index: active_ready for each definition, instance_pkey.
WITH candidate AS MATERIALIZED (
    SELECT found.instance_id
    FROM unnest($2::bigint[]) AS mine (definition_id)
    CROSS JOIN LATERAL (
        SELECT active.instance_id, active.priority, active.ready_at
        FROM forktex_flow.active
        WHERE active.definition_id = mine.definition_id
          AND active.ready_at IS NOT NULL AND active.losses = 0
          AND active.paused_at IS NULL
        ORDER BY active.priority DESC, active.ready_at
        LIMIT $3
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS found
    WHERE EXISTS (
        SELECT FROM forktex_flow.worker
        WHERE worker_id = $1 AND retired_at IS NULL AND lease_until > now()
    )
    ORDER BY found.priority DESC, found.ready_at
    LIMIT $3
), claimed AS (
    UPDATE forktex_flow.active
    SET worker_id = $1, ready_at = NULL, epoch = active.epoch + 1,
        started_at = coalesce(active.started_at, now())
    FROM candidate
    WHERE active.instance_id = candidate.instance_id
    RETURNING active.instance_id, active.epoch, active.lost_attempts, active.deadline_at,
              active.undo_reason
)
SELECT claimed.instance_id, claimed.epoch, claimed.lost_attempts, claimed.deadline_at,
       claimed.undo_reason,
       instance.definition_id, instance.namespace, instance.input, instance.metadata,
       instance.parent_id IS NOT NULL AS is_child,
       instance.retry_of IS NULL AND claimed.epoch = 1 AS is_fresh,
       clock_timestamp() AS claimed_at
FROM claimed JOIN forktex_flow.instance ON instance.instance_id = claimed.instance_id
