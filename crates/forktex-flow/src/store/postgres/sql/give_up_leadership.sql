-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes the leader row of a worker that stops leading. Locks: that row. Index: leader_pkey.
DELETE FROM forktex_flow.leader WHERE worker_id = $1
