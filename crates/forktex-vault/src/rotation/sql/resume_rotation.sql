-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes up a rotation that did not finish, if it is the same one. Locks: its row. Index: rotation_pkey.
UPDATE forktex_vault.rotation
SET run = run + 1, updated_at = clock_timestamp()
WHERE table_name = $1 AND column_name = $2
  AND kind = $3 AND id_column = $4 AND from_keys = $5 AND to_key = $6 AND scheme = $7
  AND finished_at IS NULL
RETURNING run, pass, position, pass_started_at, found_in_pass,
          scanned, rotated, already_current, lost_swaps
