-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts the new values $3 in the rows $1, each only where the row still holds what was found there, $2:
-- a write that came between is never lost. Locks: those rows, in the order of their ids where the plan
-- goes by the index. Index: the unique one of the id.
UPDATE {table} AS target
SET {assign}
FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS change (row_id, found, sealed)
WHERE target.{id} = change.row_id::{id_type} AND {is_unchanged}
