-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Locks a schedule for its firing, where it still stands as it did when the firing was decided on. The
-- fence: of two processes that fire one tick, the second finds the tick moved on, or the row locked.
-- Locks: the schedule, skipped where another process has it. Index: schedule_pkey, active_pkey.
SELECT workflow_name
FROM forktex_flow.schedule
WHERE workflow_name = $1 AND namespace = $2 AND definition_id = $3 AND is_enabled
  AND (cron, timezone, overlap, catch_up) IS NOT DISTINCT FROM ($4, $5, $6, $7)
  AND next_fire_at IS NOT DISTINCT FROM $8
  AND waiting_tick IS NOT DISTINCT FROM $9
  AND (
      $10 OR NOT EXISTS (
          SELECT FROM forktex_flow.active WHERE active.instance_id = ANY (living_instance_ids)
      )
  )
FOR UPDATE SKIP LOCKED
