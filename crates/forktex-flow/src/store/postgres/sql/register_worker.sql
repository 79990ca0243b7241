-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Registers a new incarnation of a worker and gives it a lease.
-- Locks: none but its own row. Index: worker_pkey.
INSERT INTO forktex_flow.worker (worker_id, worker_name, lease_until, definition_ids)
VALUES ($1, $2, now() + $3 * interval '1 microsecond', $4)
