-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Moves the checkpoint behind a batch, in the batch's transaction. Writes nothing for a run that another
-- process has superseded. Locks: its row. Index: rotation_pkey.
UPDATE forktex_vault.rotation
SET position = $4, scanned = scanned + $5, rotated = rotated + $6,
    already_current = already_current + $7, lost_swaps = lost_swaps + $8,
    found_in_pass = found_in_pass + $6 + $8, updated_at = clock_timestamp()
WHERE table_name = $1 AND column_name = $2 AND run = $3
