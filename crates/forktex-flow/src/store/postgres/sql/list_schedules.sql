-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The schedules of a namespace, or the one of a workflow; none that have ended.
-- Locks: none. Index: schedule_pkey.
SELECT workflow_name, workflow_version, cron, timezone, overlap, catch_up, is_enabled,
       next_fire_at, waiting_tick, last_fire_at, last_instance_id, last_skipped_at, skipped_count,
       last_error, clock_timestamp() AS now
FROM forktex_flow.schedule
WHERE namespace = $1 AND ($2::text IS NULL OR workflow_name = $2) AND cron IS NOT NULL
ORDER BY workflow_name
