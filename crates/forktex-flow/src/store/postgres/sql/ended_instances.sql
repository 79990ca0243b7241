-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Which of the given runs have ended, or do not exist. Locks: none. Index: instance_pkey.
SELECT wanted.instance_id
FROM unnest($1::uuid[]) AS wanted (instance_id)
LEFT JOIN forktex_flow.instance ON instance.instance_id = wanted.instance_id
WHERE instance.instance_id IS NULL OR instance.finished_at IS NOT NULL
