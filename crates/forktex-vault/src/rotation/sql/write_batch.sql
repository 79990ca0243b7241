-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts the new values $3 in the rows $1, each only where the row still holds what was found there, $2:
-- a write that came between is never lost. Moves the checkpoint of $4, $5 behind the batch, and gives
-- back how many rows were written; nothing comes back for a run $6 that another process has superseded.
-- Locks: those rows, and the checkpoint. Index: the unique one of the id; rotation_pkey.
WITH swapped AS (
    UPDATE {table} AS target
    SET {assign}
    FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS change (row_id, found, sealed)
    WHERE target.{id} = change.row_id::{id_type} AND {is_unchanged}
    RETURNING true
)
UPDATE forktex_vault.rotation AS kept
SET position = $7, scanned = kept.scanned + $8, already_current = kept.already_current + $9,
    rotated = kept.rotated + done.rows, lost_swaps = kept.lost_swaps + $10 - done.rows,
    found_in_pass = kept.found_in_pass + $10, updated_at = clock_timestamp()
FROM (SELECT count(*) AS rows FROM swapped) AS done
WHERE kept.table_name = $4 AND kept.column_name = $5 AND kept.run = $6
RETURNING done.rows
