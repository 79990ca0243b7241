-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Asks the owner of a run to end it as cancelled within the grace period. A second request keeps the
-- earlier deadline. Locks: the run, held already. Index: active_pkey.
UPDATE forktex_flow.active
SET cancel_requested_at = coalesce(cancel_requested_at, now()),
    cancel_deadline = least(cancel_deadline, now() + $2 * interval '1 microsecond'),
    cancel_reason = coalesce(cancel_reason, $3)
WHERE instance_id = $1
