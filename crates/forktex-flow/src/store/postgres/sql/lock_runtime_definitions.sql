-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Locks the definitions of a name, or one version of it, against starts. Index:
-- runtime_definition_by_name. Locks: those rows.
SELECT definition_id
FROM forktex_flow.runtime_definition
WHERE namespace = $1 AND workflow_name = $2 AND NOT is_removed
  AND ($3::integer IS NULL OR workflow_version = $3)
ORDER BY definition_id
FOR UPDATE
