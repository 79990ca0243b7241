-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Keeps everybody else out. Locks: the table, until the transaction ends. Index: none.
LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE
