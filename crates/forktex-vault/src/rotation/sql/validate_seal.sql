-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Proves that no row is under another key. Locks: the table, against changes of its schema; reads and
-- writes go on. Index: none, the table is read.
ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}
