-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The limits on how many runs may be held at once, and how many are, counted as `claim_limited_runs`
-- counts. Locks: none. Index: active_by_worker, definition_pkey; limits and workers are few.
WITH used AS MATERIALIZED (
    SELECT coalesce(active.namespace, '') AS namespace, definition.workflow_name,
           count(*) AS running
    FROM forktex_flow.worker
    JOIN forktex_flow.active ON active.worker_id = worker.worker_id
    JOIN forktex_flow.definition ON definition.definition_id = active.definition_id
    WHERE worker.retired_at IS NULL
    GROUP BY 1, 2
)
SELECT running_limit.namespace, running_limit.workflow_name, running_limit.max_running,
       (
           SELECT coalesce(sum(used.running), 0)::bigint
           FROM used
           WHERE running_limit.namespace IN ('', used.namespace)
             AND running_limit.workflow_name IN ('', used.workflow_name)
       ) AS running
FROM forktex_flow.running_limit
ORDER BY running_limit.namespace, running_limit.workflow_name
