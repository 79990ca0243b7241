-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Begins a rotation, in place of the last one of the column. Locks: its row. Index: rotation_pkey.
INSERT INTO forktex_vault.rotation AS kept
    (table_name, column_name, kind, id_column, from_keys, to_key, scheme)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (table_name, column_name) DO UPDATE
SET kind = excluded.kind, id_column = excluded.id_column, from_keys = excluded.from_keys,
    to_key = excluded.to_key, scheme = excluded.scheme,
    run = kept.run + 1, pass = 1, position = NULL, pass_started_at = clock_timestamp(),
    found_in_pass = 0, scanned = 0, rotated = 0, already_current = 0, lost_swaps = 0,
    started_at = clock_timestamp(), updated_at = clock_timestamp(), finished_at = NULL
RETURNING run, pass, position, pass_started_at, found_in_pass,
          scanned, rotated, already_current, lost_swaps
