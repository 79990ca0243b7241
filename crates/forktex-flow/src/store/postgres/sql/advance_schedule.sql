-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Moves a locked schedule on past the ticks that were fired or skipped.
-- Locks: its own row. Index: schedule_pkey, active_pkey.
UPDATE forktex_flow.schedule
SET next_fire_at = $3,
    waiting_tick = $4,
    last_fire_at = coalesce($5, last_fire_at),
    last_instance_id = coalesce(($6::uuid[])[cardinality($6::uuid[])], last_instance_id),
    living_instance_ids = CASE WHEN cardinality($6::uuid[]) = 0 THEN living_instance_ids ELSE ARRAY(
        SELECT run.instance_id
        FROM unnest(living_instance_ids || $6::uuid[]) WITH ORDINALITY AS run (instance_id, place)
        WHERE EXISTS (
            SELECT FROM forktex_flow.active WHERE active.instance_id = run.instance_id
        )
        ORDER BY run.place DESC
        LIMIT 100
    ) END,
    last_skipped_at = coalesce($7, last_skipped_at),
    skipped_count = skipped_count + $8,
    last_error = CASE WHEN $9::text IS NULL AND cardinality($6::uuid[]) = 0 THEN last_error ELSE $9 END
WHERE workflow_name = $1 AND namespace = $2
