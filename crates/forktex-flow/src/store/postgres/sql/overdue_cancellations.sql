-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Up to $1 runs whose owner did not end them within the grace period.
-- Locks: none; each is locked in a transaction of its own. Index: active_cancelling.
SELECT instance_id FROM forktex_flow.active
WHERE cancel_deadline < now()
LIMIT $1
