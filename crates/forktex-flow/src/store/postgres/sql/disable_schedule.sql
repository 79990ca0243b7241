-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Disables a schedule: no tick fires, and one that waits is given up.
-- Locks: its own row. Index: schedule_pkey.
UPDATE forktex_flow.schedule
SET is_enabled = false, waiting_tick = NULL
WHERE workflow_name = $1 AND namespace = $2 AND cron IS NOT NULL
