-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Forgets the workers that were retired a minute ago and hold no run any more. By then no claim that
-- found them alive can still be under way.
-- Locks: those worker rows. Index: worker_by_lease, active_by_worker.
DELETE FROM forktex_flow.worker
WHERE lease_until < now() AND retired_at < now() - interval '1 minute'
  AND NOT EXISTS (SELECT FROM forktex_flow.active WHERE active.worker_id = worker.worker_id)
