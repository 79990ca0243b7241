-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- How many definitions a namespace has, and may have. Locks: none.
-- Index: runtime_definition_by_name, namespace_limit_pkey.
SELECT count(*) AS count,
       (SELECT max_definitions FROM forktex_flow.namespace_limit WHERE namespace = $1) AS max
FROM forktex_flow.runtime_definition
WHERE namespace = $1 AND NOT is_removed
