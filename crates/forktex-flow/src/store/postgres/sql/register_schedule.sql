-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Brings the schedule of a workflow's version: a newer version replaces an older one, never the other
-- way round, and the operator's word stays. Only another expression or time zone moves the next tick.
-- Locks: its own row. Index: schedule_pkey, definition_workflow_name_workflow_version_namespace_key.
INSERT INTO forktex_flow.schedule AS kept (
    workflow_name, namespace, workflow_version, definition_id, cron, timezone, overlap, catch_up,
    next_fire_at
)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE NOT EXISTS (
    SELECT FROM forktex_flow.definition
    WHERE workflow_name = $1 AND namespace = $2 AND workflow_version > $3
)
ON CONFLICT (workflow_name, namespace) DO UPDATE
SET workflow_version = excluded.workflow_version,
    definition_id = excluded.definition_id,
    cron = excluded.cron,
    timezone = excluded.timezone,
    overlap = excluded.overlap,
    catch_up = excluded.catch_up,
    next_fire_at = CASE
        WHEN (kept.cron, kept.timezone) IS NOT DISTINCT FROM (excluded.cron, excluded.timezone)
            AND kept.next_fire_at IS NOT NULL
        THEN kept.next_fire_at
        ELSE excluded.next_fire_at
    END,
    waiting_tick = CASE WHEN excluded.overlap = 'queue' THEN kept.waiting_tick ELSE NULL END,
    last_error = CASE
        WHEN kept.workflow_version = excluded.workflow_version THEN kept.last_error ELSE NULL
    END
WHERE kept.workflow_version <= excluded.workflow_version
