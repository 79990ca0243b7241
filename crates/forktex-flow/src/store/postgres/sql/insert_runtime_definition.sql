-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Adds a definition, whose row in `definition` is there. Locks: the new row. Index: runtime_definition_pkey.
INSERT INTO forktex_flow.runtime_definition (
    definition_id, namespace, workflow_name, workflow_version, config, revision
)
VALUES ($1, $2, $3, $4, $5, $6)
