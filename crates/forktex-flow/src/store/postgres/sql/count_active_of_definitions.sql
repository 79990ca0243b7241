-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- How many living runs of a namespace are of these definitions. Locks: none. Index:
-- active_by_namespace.
SELECT count(*) AS count
FROM forktex_flow.active
WHERE namespace = $1 AND definition_id = ANY ($2::bigint[])
