-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Starts one run, as `start_runs` does many: cheaper than the arrays.
-- Locks: none but the new rows. Index: instance_pkey, instance_by_idempotency_key, active_pkey,
-- worker_pkey, running_limit_pkey.
WITH owner AS (
    SELECT worker_id FROM forktex_flow.worker
    WHERE worker_id = $11 AND retired_at IS NULL AND lease_until > now()
      AND NOT (
          (SELECT EXISTS (SELECT FROM forktex_flow.running_limit)) AND EXISTS (
              SELECT FROM forktex_flow.running_limit AS concern
              WHERE concern.namespace IN ('', $3) AND concern.workflow_name IN ('', $4)
          )
      )
), inserted AS (
    INSERT INTO forktex_flow.instance (
        instance_id, definition_id, namespace, workflow_name, workflow_version, status,
        triggered_by, parent_id, idempotency_key, input, metadata
    )
    VALUES ($1, $2, $3::text, $4::text, $5, 'pending', $8, $12, $9, $6, $7)
    ON CONFLICT (namespace, workflow_name, idempotency_key) WHERE idempotency_key IS NOT NULL
    DO NOTHING
    RETURNING instance_id
)
INSERT INTO forktex_flow.active (
    instance_id, definition_id, priority, epoch, worker_id, started_at, ready_at, waits_on,
    parent_id, sibling_group, deadline_at, namespace
)
SELECT inserted.instance_id, $2, $10,
       CASE WHEN owner.worker_id IS NULL THEN 0 ELSE 1 END,
       owner.worker_id,
       CASE WHEN owner.worker_id IS NOT NULL THEN now() END,
       CASE WHEN owner.worker_id IS NULL AND NOT $14::boolean THEN now() END,
       CASE WHEN $14::boolean THEN 'turn' END,
       $12, $13, now() + $15::bigint * interval '1 microsecond', nullif($3, '')
FROM inserted LEFT JOIN owner ON true
RETURNING instance_id, worker_id IS NOT NULL AS is_claimed, clock_timestamp() AS claimed_at
