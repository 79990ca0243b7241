-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The living runs of a definition after run $4, up to $5, and whether a worker has each; only those of
-- namespace $2 where it is given, and only those that were accepted before $3.
-- Locks: none. Index: active_pkey, instance_pkey.
SELECT active.instance_id, active.worker_id IS NOT NULL AS is_owned
FROM forktex_flow.active
JOIN forktex_flow.instance ON instance.instance_id = active.instance_id
WHERE active.definition_id = $1
  AND ($2::text IS NULL OR instance.namespace = $2)
  AND instance.created_at < $3
  AND ($4::uuid IS NULL OR active.instance_id > $4)
ORDER BY active.instance_id
LIMIT $5
