-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The seals on a table $1, of whatever column. Locks: none. Index: those of the catalog.
SELECT conname::text AS name
FROM pg_catalog.pg_constraint
WHERE conrelid = $1::oid AND contype = 'c' AND starts_with(conname::text, 'vault_seal_')
ORDER BY conname
