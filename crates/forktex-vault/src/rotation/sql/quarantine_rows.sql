-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Notes rows that could not be opened: their ids $3 and why $4. Locks: those notes.
-- Index: quarantine_pkey.
INSERT INTO forktex_vault.quarantine (table_name, column_name, row_id, error_kind)
SELECT $1, $2, bad.row_id, bad.error_kind
FROM unnest($3::text[], $4::text[]) AS bad (row_id, error_kind)
ON CONFLICT (table_name, column_name, row_id) DO UPDATE
SET error_kind = excluded.error_kind, seen_at = clock_timestamp()
