-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Records a run that was started by hand with the input of the schedule. Ticks are left as they are.
-- Locks: its own row. Index: schedule_pkey, active_pkey.
UPDATE forktex_flow.schedule
SET last_fire_at = clock_timestamp(),
    last_instance_id = $3,
    living_instance_ids = ARRAY(
        SELECT run.instance_id
        FROM unnest(living_instance_ids || $3::uuid) WITH ORDINALITY AS run (instance_id, place)
        WHERE run.instance_id = $3 OR EXISTS (
            SELECT FROM forktex_flow.active WHERE active.instance_id = run.instance_id
        )
        ORDER BY run.place DESC
        LIMIT 100
    )
WHERE workflow_name = $1 AND namespace = $2 AND definition_id = $4 AND cron IS NOT NULL
RETURNING workflow_name
