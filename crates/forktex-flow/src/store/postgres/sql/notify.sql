-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Sends notices to the processes that listen, of which a crash may lose some: nothing is to be flushed.
-- Outside every other transaction: NOTIFY takes a lock of the whole database at commit.
-- Locks: that one. Index: none.
SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, notice)
FROM unnest($2::text[]) AS notice
