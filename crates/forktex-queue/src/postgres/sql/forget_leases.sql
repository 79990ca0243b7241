-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes what said who holds batches of which nothing is held any more.
-- Locks: those rows. Index: lease_pkey.
DELETE FROM forktex_queue.lease WHERE lease_id = ANY ($1::bigint[])
