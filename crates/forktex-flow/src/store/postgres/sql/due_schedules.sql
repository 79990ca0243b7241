-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The schedules of these definitions that are due, the longest due first, and the time of each.
-- Locks: none. Index: schedule_due, active_pkey.
SELECT schedule.workflow_name, schedule.namespace, schedule.definition_id, schedule.cron,
       schedule.timezone, schedule.overlap, schedule.catch_up, schedule.next_fire_at,
       schedule.waiting_tick, busy.is_busy, clock_timestamp() AS now
FROM forktex_flow.schedule
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM forktex_flow.active
        WHERE active.instance_id = ANY (schedule.living_instance_ids)
    ) AS is_busy
) AS busy
WHERE schedule.is_enabled AND schedule.definition_id = ANY ($1) AND schedule.cron IS NOT NULL
  AND (
      schedule.next_fire_at <= clock_timestamp()
      OR (schedule.waiting_tick IS NOT NULL AND NOT busy.is_busy)
  )
ORDER BY least(schedule.next_fire_at, schedule.waiting_tick)
LIMIT $2
