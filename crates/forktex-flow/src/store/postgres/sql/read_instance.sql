-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Reads a run and what it waits for. Locks: none. Index: instance_pkey, active_pkey, worker_by_lease.
SELECT instance.instance_id, instance.namespace, instance.workflow_name,
       instance.workflow_version,
       CASE WHEN instance.status = 'pending' AND active.started_at IS NOT NULL THEN 'running'
            ELSE instance.status END AS status,
       instance.triggered_by, instance.parent_id, instance.retry_of, instance.created_at,
       coalesce(instance.started_at, active.started_at) AS started_at, instance.finished_at,
       instance.input, instance.metadata, instance.failure::text AS failure,
       instance.cancel_reason, active.ready_at, active.wake_at, active.waits_on,
       active.waiting_signals, active.waiting_children, active.paused_at,
       active.ready_at IS NOT NULL AND NOT EXISTS (
           SELECT FROM forktex_flow.worker
           WHERE worker.lease_until > now() AND worker.retired_at IS NULL
             AND worker.definition_ids @> ARRAY[active.definition_id]
       ) AS lacks_worker
FROM forktex_flow.instance
LEFT JOIN forktex_flow.active ON active.instance_id = instance.instance_id
WHERE instance.instance_id = $1
