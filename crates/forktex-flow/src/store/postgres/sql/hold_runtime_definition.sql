-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Whether a definition is there, and keeps it there until the transaction ends.
-- Locks: its row, shared. Index: runtime_definition_pkey.
SELECT definition_id
FROM forktex_flow.runtime_definition
WHERE definition_id = $1 AND NOT is_removed
FOR SHARE
