-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Asks for the end of a run once what it did is undone: its owner learns of it at its next checkpoint,
-- and a run that nobody owns is made ready. An earlier reason is kept. Tells what the run is; nothing
-- where there is none. Locks: the run, shortly. Index: active_pkey, instance_pkey.
WITH asked AS (
    UPDATE forktex_flow.active
    SET undo_reason = coalesce(undo_reason, $2),
        ready_at = CASE WHEN worker_id IS NULL THEN coalesce(ready_at, now()) END,
        waits_on = NULL, wake_at = NULL, waiting_signals = NULL, waiting_children = NULL,
        fails_fast = false, paused_at = NULL
    WHERE instance_id = $1
    RETURNING instance_id
)
SELECT instance.status, EXISTS (SELECT FROM asked) AS is_asked
FROM forktex_flow.instance
WHERE instance.instance_id = $1
