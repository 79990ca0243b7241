-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Gives a run back, uncounted, to be claimed after a delay. $4 says what it waits for meanwhile.
-- Index: active_pkey. Locks: the run.
UPDATE forktex_flow.active
SET worker_id = NULL, current_nodes = NULL, epoch = epoch + 1, alone = false,
    waits_on = $4, wake_at = now() + $3 * interval '1 microsecond'
WHERE instance_id = $1 AND epoch = $2 AND cancel_requested_at IS NULL
