-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes a seal off. Locks: the table, against everything, for a moment. Index: none.
ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {constraint}
