-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Enables a schedule again, from the tick given, unless its expression was changed meanwhile. One that
-- is enabled already keeps its ticks.
-- Locks: its own row. Index: schedule_pkey.
UPDATE forktex_flow.schedule
SET is_enabled = true,
    next_fire_at = CASE WHEN is_enabled THEN next_fire_at ELSE $5 END
WHERE workflow_name = $1 AND namespace = $2 AND (cron, timezone) IS NOT DISTINCT FROM ($3, $4)
