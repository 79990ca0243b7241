-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Keeps a definition the first time that it is brought, and reads what is kept. The shape of its state
-- is kept later where it was not known then and the state has not changed since.
-- Locks: a new row, or one whose shape was not known. Index:
-- definition_workflow_name_workflow_version_namespace_key.
WITH inserted AS (
    INSERT INTO forktex_flow.definition (
        namespace, workflow_name, workflow_version, topology_hash, topology, state_hash, stages,
        state_shape
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (workflow_name, workflow_version, namespace) DO UPDATE
    SET state_shape = excluded.state_shape
    WHERE definition.state_shape IS NULL AND definition.state_hash = excluded.state_hash
    RETURNING definition_id, topology_hash, topology
)
SELECT definition_id, topology_hash, topology FROM inserted
UNION ALL
SELECT definition_id, topology_hash, topology FROM forktex_flow.definition
WHERE namespace = $1 AND workflow_name = $2 AND workflow_version = $3
LIMIT 1
