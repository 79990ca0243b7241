-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Tells the processes that listen that work may have come. A crash may lose it: nothing is to be flushed.
-- Outside every other transaction: NOTIFY takes a lock of the whole database at commit.
-- Locks: that one. Index: none.
SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, '')
