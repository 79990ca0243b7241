-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The shapes of the states of definitions as they were deployed, where that was kept.
-- Locks: none. Index: definition_pkey.
SELECT definition_id, state_shape
FROM forktex_flow.definition
WHERE definition_id = ANY ($1::bigint[]) AND state_shape IS NOT NULL
