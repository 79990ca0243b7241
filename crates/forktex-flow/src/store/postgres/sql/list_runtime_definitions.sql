-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The definitions of a namespace. Locks: none. Index: runtime_definition_by_name.
SELECT definition_id, namespace, workflow_name, workflow_version, config, revision, is_removed,
       created_at
FROM forktex_flow.runtime_definition
WHERE namespace = $1 AND NOT is_removed
ORDER BY workflow_name, workflow_version
