-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The definition of that name and version, and whether it has this config.
-- Locks: none. Index: runtime_definition_by_name.
SELECT definition_id, config, config = $4 AS is_same
FROM forktex_flow.runtime_definition
WHERE namespace = $1 AND workflow_name = $2 AND workflow_version = $3 AND NOT is_removed
