-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Drops the plain column. Locks: the table, against everything, for a moment. Index: none.
ALTER TABLE {table} DROP COLUMN {source}
