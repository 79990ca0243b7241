-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes definitions that are locked here. Locks: those rows. Index: runtime_definition_pkey,
-- definition_pkey.
WITH removed AS (
    UPDATE forktex_flow.runtime_definition
    SET is_removed = true, revision = $2
    WHERE definition_id = ANY ($1::bigint[])
)
DELETE FROM forktex_flow.definition WHERE definition_id = ANY ($1::bigint[])
