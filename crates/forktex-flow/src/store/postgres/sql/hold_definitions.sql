-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- How many of some definitions were made at run time and are removed; keeps the others there until the
-- transaction ends.
-- Locks: their rows, shared. Index: runtime_definition_pkey.
SELECT count(*) FILTER (WHERE held.is_removed)
FROM (
    SELECT runtime_definition.is_removed
    FROM forktex_flow.runtime_definition
    WHERE runtime_definition.definition_id = ANY ($1::bigint[])
    FOR SHARE
) AS held
