-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Lists the first $3 noted rows, and how many there are. Locks: none. Index: quarantine_pkey.
SELECT row_id, error_kind, seen_at, count(*) OVER () AS total
FROM forktex_vault.quarantine
WHERE table_name = $1 AND column_name = $2
ORDER BY row_id
LIMIT $3
