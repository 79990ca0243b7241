-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Ends the backend of a leader that has not renewed its row, as a frozen process would keep its lock, and
-- waits up to half a second until it is gone and the lock with it.
-- Locks: none. Index: leader_pkey.
SELECT pg_terminate_backend(leader.backend_pid, 500)
FROM forktex_flow.leader
WHERE leader.renewed_at < clock_timestamp() - $1 * interval '1 microsecond'
  AND EXISTS (
      SELECT FROM pg_locks
      WHERE pg_locks.pid = leader.backend_pid AND pg_locks.locktype = 'advisory' AND pg_locks.granted
        AND ((pg_locks.classid::bigint << 32) | pg_locks.objid::bigint) = $2
  )
