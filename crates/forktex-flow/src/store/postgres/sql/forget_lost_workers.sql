-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Forgets the workers whose lease is over and who hold no run any more.
-- Locks: those worker rows. Index: worker_by_lease, active_by_worker.
DELETE FROM forktex_flow.worker
WHERE lease_until < now()
  AND NOT EXISTS (SELECT FROM forktex_flow.active WHERE active.worker_id = worker.worker_id)
