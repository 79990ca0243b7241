-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Pauses a run, or lets it go on, and tells what it is. Nothing is in the answer where there is no run.
-- Locks: the run, shortly. Index: active_pkey, instance_pkey.
WITH changed AS (
    UPDATE forktex_flow.active
    SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END
    WHERE instance_id = $1
    RETURNING instance_id
)
SELECT instance.status, EXISTS (SELECT FROM changed) AS is_changed
FROM forktex_flow.instance
WHERE instance.instance_id = $1
