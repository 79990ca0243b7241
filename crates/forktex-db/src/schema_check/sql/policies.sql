-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The policies of the tables named in $1. Locks: none but those of a read.
-- Index: pg_policy_polrelid_polname_index.
SELECT
    wanted.position - 1                                              AS table_position,
    policy.polname::text                                             AS name,
    policy.polpermissive                                             AS is_permissive,
    policy.polcmd = '*'                                              AS is_for_all,
    coalesce(pg_get_expr(policy.polqual, policy.polrelid), '')       AS condition,
    coalesce(pg_get_expr(policy.polwithcheck, policy.polrelid), '')  AS check_condition
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, position)
JOIN pg_policy AS policy ON policy.polrelid = to_regclass(wanted.name)
ORDER BY wanted.position, policy.polname
