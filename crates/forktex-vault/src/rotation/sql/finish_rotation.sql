-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Marks the rotation as finished, after a pass that found nothing. Locks: its row. Index: rotation_pkey.
UPDATE forktex_vault.rotation
SET finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE table_name = $1 AND column_name = $2 AND run = $3
