-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Makes up to $1 runs ready whose time has come, and tells when the next one's will.
-- Locks: those runs, SKIP LOCKED. Index: active_asleep.
WITH due AS (
    SELECT instance_id FROM forktex_flow.active
    WHERE wake_at <= now()
    ORDER BY wake_at
    LIMIT $1
    FOR NO KEY UPDATE SKIP LOCKED
), woken AS (
    UPDATE forktex_flow.active
    SET ready_at = active.wake_at, wake_at = NULL, waits_on = NULL, waiting_signals = NULL,
        waiting_children = NULL
    FROM due
    WHERE active.instance_id = due.instance_id
    RETURNING active.instance_id
)
SELECT (SELECT count(*) FROM woken) AS woken,
       (SELECT extract(epoch FROM min(wake_at) - clock_timestamp())::double precision
        FROM forktex_flow.active WHERE wake_at > now()) AS next_in_seconds
