-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Hands every run of a worker back, uncounted, and retires the worker. Its row stays for a minute, so
-- that a claim which was under way meanwhile is found with it.
-- A run that is being cancelled stays where it is: whoever looks for lost runs has it ended.
-- Locks: its worker row, its runs. Index: active_by_worker, worker_pkey.
WITH released AS (
    UPDATE forktex_flow.active
    SET worker_id = NULL, ready_at = now(), epoch = epoch + 1, alone = false
    WHERE worker_id = $1 AND cancel_requested_at IS NULL
)
UPDATE forktex_flow.worker
SET retired_at = coalesce(retired_at, now()), lease_until = least(lease_until, now())
WHERE worker_id = $1
