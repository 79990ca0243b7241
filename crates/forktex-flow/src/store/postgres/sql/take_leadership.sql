-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Writes the leader row for the holder of the advisory lock.
-- Locks: the leader row. Index: leader_pkey.
INSERT INTO forktex_flow.leader (worker_id, backend_pid, renewed_at)
VALUES ($1, pg_backend_pid(), clock_timestamp())
ON CONFLICT (singleton) DO UPDATE
SET worker_id = excluded.worker_id, backend_pid = excluded.backend_pid,
    renewed_at = excluded.renewed_at
