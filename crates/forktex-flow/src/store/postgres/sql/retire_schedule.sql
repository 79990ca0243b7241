-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Ends the schedule of a workflow whose newest version has none any more. The row that stays keeps an
-- older version from bringing it back; where there is an older version that may be about to bring one,
-- it is written for that reason alone.
-- Locks: its own row. Index: schedule_pkey, definition_workflow_name_workflow_version_namespace_key.
INSERT INTO forktex_flow.schedule AS kept (
    workflow_name, namespace, workflow_version, definition_id, overlap, catch_up
)
SELECT $1, $2, $3, $4, 'allow', 'one'
WHERE EXISTS (
    SELECT FROM forktex_flow.definition
    WHERE workflow_name = $1 AND namespace = $2 AND workflow_version < $3
) OR EXISTS (
    SELECT FROM forktex_flow.schedule WHERE workflow_name = $1 AND namespace = $2
)
ON CONFLICT (workflow_name, namespace) DO UPDATE
SET workflow_version = excluded.workflow_version,
    definition_id = excluded.definition_id,
    cron = NULL,
    timezone = NULL,
    next_fire_at = NULL,
    waiting_tick = NULL
WHERE kept.workflow_version <= excluded.workflow_version
