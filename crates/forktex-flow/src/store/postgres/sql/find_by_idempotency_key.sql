-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The run that has an idempotency key, and whether its version and input are the given ones.
-- Locks: none. Index: instance_by_idempotency_key.
SELECT instance_id, workflow_version = $4 AND input = $5 AS is_same
FROM forktex_flow.instance
WHERE namespace = $1 AND workflow_name = $2 AND idempotency_key = $3
