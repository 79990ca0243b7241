-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Starts runs: each is inserted twice, as what is kept and as what lives, or not at all where its
-- idempotency key is taken. A run with a worker that holds a lease is born claimed, in epoch 1, unless a
-- limit on how many are held concerns it.
-- Locks: none but the new rows. Index: instance_pkey, instance_by_idempotency_key, active_pkey,
-- running_limit_pkey.
WITH given AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::jsonb[], $7::jsonb[],
        $8::text[], $9::text[], $10::smallint[], $11::uuid[], $12::uuid[], $13::text[],
        $14::boolean[], $15::bigint[]
    ) AS given (
        instance_id, definition_id, namespace, workflow_name, workflow_version, input, metadata,
        triggered_by, idempotency_key, priority, wanted_worker_id, parent_id, sibling_group,
        waits_for_turn, deadline_us
    )
), run AS (
    SELECT given.*, worker.worker_id
    FROM given
    LEFT JOIN forktex_flow.worker
        ON worker.worker_id = given.wanted_worker_id
        AND worker.retired_at IS NULL AND worker.lease_until > now()
        AND NOT (
            (SELECT EXISTS (SELECT FROM forktex_flow.running_limit)) AND EXISTS (
                SELECT FROM forktex_flow.running_limit AS concern
                WHERE concern.namespace IN ('', given.namespace)
                  AND concern.workflow_name IN ('', given.workflow_name)
            )
        )
), inserted AS (
    INSERT INTO forktex_flow.instance (
        instance_id, definition_id, namespace, workflow_name, workflow_version, status,
        triggered_by, parent_id, idempotency_key, input, metadata
    )
    SELECT instance_id, definition_id, namespace, workflow_name, workflow_version, 'pending',
           triggered_by, parent_id, idempotency_key, input, metadata
    FROM run
    ON CONFLICT (namespace, workflow_name, idempotency_key) WHERE idempotency_key IS NOT NULL
    DO NOTHING
    RETURNING instance_id
), activated AS (
    INSERT INTO forktex_flow.active (
        instance_id, definition_id, priority, epoch, worker_id, started_at, ready_at, waits_on,
        parent_id, sibling_group, deadline_at, namespace
    )
    SELECT run.instance_id, run.definition_id, run.priority,
           CASE WHEN run.worker_id IS NULL THEN 0 ELSE 1 END,
           run.worker_id,
           CASE WHEN run.worker_id IS NOT NULL THEN now() END,
           CASE WHEN run.worker_id IS NULL AND NOT run.waits_for_turn THEN now() END,
           CASE WHEN run.waits_for_turn THEN 'turn' END,
           run.parent_id, run.sibling_group,
           now() + run.deadline_us * interval '1 microsecond', nullif(run.namespace, '')
    FROM run JOIN inserted ON inserted.instance_id = run.instance_id
)
SELECT run.instance_id, run.worker_id IS NOT NULL AS is_claimed, clock_timestamp() AS claimed_at
FROM run JOIN inserted ON inserted.instance_id = run.instance_id
