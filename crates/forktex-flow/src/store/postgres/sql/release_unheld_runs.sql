-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Hands back the runs that a worker owns here and does not hold under their epochs: an answer to it was lost.
-- A run that is being cancelled stays: it is ended when its grace period is over.
-- Locks: those runs. Index: active_by_worker.
UPDATE forktex_flow.active
SET worker_id = NULL, ready_at = now(), epoch = epoch + 1, alone = false
WHERE worker_id = $1 AND cancel_requested_at IS NULL
  AND NOT EXISTS (
      SELECT FROM unnest($2::uuid[], $3::bigint[]) AS held (instance_id, epoch)
      WHERE held.instance_id = active.instance_id AND held.epoch = active.epoch
  )
