-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Starts runs: each is inserted twice, as what is kept and as what lives, or not at all where its
-- idempotency key is taken. A run with a worker that holds a lease is born claimed, in epoch 1.
-- Locks: none but the new rows. Index: instance_pkey, instance_by_idempotency_key, active_pkey.
WITH given AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::jsonb[], $7::jsonb[],
        $8::text[], $9::text[], $10::smallint[], $11::uuid[]
    ) AS given (
        instance_id, definition_id, namespace, workflow_name, workflow_version, input, metadata,
        triggered_by, idempotency_key, priority, wanted_worker_id
    )
), run AS (
    SELECT given.*, worker.worker_id
    FROM given
    LEFT JOIN forktex_flow.worker
        ON worker.worker_id = given.wanted_worker_id
        AND worker.retired_at IS NULL AND worker.lease_until > now()
), inserted AS (
    INSERT INTO forktex_flow.instance (
        instance_id, definition_id, namespace, workflow_name, workflow_version, status,
        triggered_by, idempotency_key, started_at, input, metadata
    )
    SELECT instance_id, definition_id, namespace, workflow_name, workflow_version,
           CASE WHEN worker_id IS NULL THEN 'pending' ELSE 'running' END,
           triggered_by, idempotency_key, CASE WHEN worker_id IS NULL THEN NULL ELSE now() END,
           input, metadata
    FROM run
    ON CONFLICT (namespace, workflow_name, idempotency_key) WHERE idempotency_key IS NOT NULL
    DO NOTHING
    RETURNING instance_id
), activated AS (
    INSERT INTO forktex_flow.active (instance_id, definition_id, priority, epoch, worker_id, ready_at)
    SELECT run.instance_id, run.definition_id, run.priority,
           CASE WHEN run.worker_id IS NULL THEN 0 ELSE 1 END,
           run.worker_id, CASE WHEN run.worker_id IS NULL THEN now() ELSE NULL END
    FROM run JOIN inserted ON inserted.instance_id = run.instance_id
)
SELECT run.instance_id, run.worker_id IS NOT NULL AS is_claimed, clock_timestamp() AS claimed_at
FROM run JOIN inserted ON inserted.instance_id = run.instance_id
