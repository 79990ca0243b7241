-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The next $2 changes of runtime definitions after a revision. Locks: none. Index:
-- runtime_definition_by_revision.
SELECT definition_id, namespace, workflow_name, workflow_version, config, revision, is_removed,
       created_at
FROM forktex_flow.runtime_definition
WHERE revision > $1
ORDER BY revision, definition_id
LIMIT $2
