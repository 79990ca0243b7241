-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Ends the schedule of a workflow whose newest version has none any more. The row stays, and keeps an
-- older version from bringing it back.
-- Locks: its own row. Index: schedule_pkey.
UPDATE forktex_flow.schedule
SET workflow_version = $3, definition_id = $4, cron = NULL, timezone = NULL, next_fire_at = NULL,
    waiting_tick = NULL
WHERE workflow_name = $1 AND namespace = $2 AND workflow_version <= $3
