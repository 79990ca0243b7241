-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes up to $1 runs from workers whose lease is over, and makes them suspects.
-- The workers are retired, and their rows stay until none of their runs is left, so that a crash in
-- here loses nothing.
-- A run that is being cancelled stays where it is, and its grace period is over: nobody is left to use it.
-- Locks: lost worker rows and their runs, SKIP LOCKED. Index: worker_by_lease, active_by_worker,
-- active_cancelling.
WITH lost AS (
    SELECT worker_id FROM forktex_flow.worker
    WHERE lease_until < now()
    ORDER BY worker_id
    LIMIT 100
    FOR UPDATE SKIP LOCKED
), retired AS (
    UPDATE forktex_flow.worker
    SET retired_at = now()
    FROM lost
    WHERE worker.worker_id = lost.worker_id AND worker.retired_at IS NULL
), held AS (
    SELECT active.instance_id
    FROM lost JOIN forktex_flow.active ON active.worker_id = lost.worker_id
    WHERE active.cancel_requested_at IS NULL
    LIMIT $1
    FOR NO KEY UPDATE OF active SKIP LOCKED
), released AS (
    UPDATE forktex_flow.active
    SET worker_id = NULL,
        ready_at = now(),
        epoch = epoch + 1,
        losses = least(losses + 1, 32000),
        lost_attempts = lost_attempts + alone::integer,
        alone = false
    FROM held
    WHERE active.instance_id = held.instance_id
    RETURNING active.instance_id
), cancelling AS (
    SELECT active.instance_id
    FROM lost JOIN forktex_flow.active ON active.worker_id = lost.worker_id
    WHERE active.cancel_deadline > now()
    LIMIT $1
    FOR NO KEY UPDATE OF active SKIP LOCKED
), hastened AS (
    UPDATE forktex_flow.active
    SET cancel_deadline = now()
    FROM cancelling
    WHERE active.instance_id = cancelling.instance_id
)
SELECT count(*) FROM released
