-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Hands back the runs that a worker owns here and does not hold under their epochs: an answer to it was lost.
-- A run that is being cancelled stays, and its grace period is over: nobody uses it.
-- Locks: those runs. Index: active_by_worker.
WITH unheld AS MATERIALIZED (
    SELECT instance_id, cancel_requested_at IS NOT NULL AS is_cancelling
    FROM forktex_flow.active
    WHERE worker_id = $1
      AND NOT EXISTS (
          SELECT FROM unnest($2::uuid[], $3::bigint[]) AS held (instance_id, epoch)
          WHERE held.instance_id = active.instance_id AND held.epoch = active.epoch
      )
    FOR NO KEY UPDATE
), hastened AS (
    UPDATE forktex_flow.active
    SET cancel_deadline = least(active.cancel_deadline, now())
    FROM unheld
    WHERE active.instance_id = unheld.instance_id AND unheld.is_cancelling
)
UPDATE forktex_flow.active
SET worker_id = NULL, ready_at = now(), epoch = active.epoch + 1, alone = false
FROM unheld
WHERE active.instance_id = unheld.instance_id AND NOT unheld.is_cancelling
