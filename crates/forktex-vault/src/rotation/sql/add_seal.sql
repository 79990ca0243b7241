-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Refuses, from now on, values under any other key. The rows that are there are not looked at yet.
-- Locks: the table, against everything, for a moment. Index: none.
ALTER TABLE {table} ADD CONSTRAINT {constraint} CHECK ({is_sealed}) NOT VALID
