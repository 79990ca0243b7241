-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Begins the next pass. Locks: its row. Index: rotation_pkey.
UPDATE forktex_vault.rotation
SET pass = pass + 1, position = NULL, found_in_pass = 0,
    pass_started_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE table_name = $1 AND column_name = $2 AND run = $3
RETURNING pass_started_at
