-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes the leader row where it is free or stale. Behind a pooler there is no other lock.
-- Locks: the leader row. Index: leader_pkey.
INSERT INTO forktex_flow.leader (worker_id, backend_pid, renewed_at)
VALUES ($1, pg_backend_pid(), clock_timestamp())
ON CONFLICT (singleton) DO UPDATE
SET worker_id = excluded.worker_id, backend_pid = excluded.backend_pid,
    renewed_at = excluded.renewed_at
WHERE leader.renewed_at < clock_timestamp() - $2 * interval '1 microsecond'
