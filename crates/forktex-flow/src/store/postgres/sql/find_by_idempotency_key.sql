-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The run that has an idempotency key, and whether its version and input are the given ones. The input
-- itself where none is given or the stored one is sealed: it is then compared by who asks.
-- Locks: none. Index: instance_by_idempotency_key.
SELECT instance_id, workflow_version = $4 AS is_same_version, input = $5::jsonb AS is_same_input,
       CASE WHEN $5::jsonb IS NULL OR jsonb_typeof(input) = 'string' THEN input END AS input
FROM forktex_flow.instance
WHERE namespace = $1 AND workflow_name = $2 AND idempotency_key = $3
