-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What lists of runs are found by. Runs that live are found in `active`, which is small or all alive.
--
-- Few, and partial where they can be: each is written when a run is started, and again when a worker
-- takes it and when it ends.
CREATE INDEX instance_by_creation ON forktex_flow.instance (created_at, instance_id);
CREATE INDEX instance_by_workflow
    ON forktex_flow.instance (workflow_name, created_at, instance_id);
CREATE INDEX instance_by_namespace
    ON forktex_flow.instance (namespace, created_at, instance_id) WHERE namespace <> '';
CREATE INDEX instance_by_bad_end
    ON forktex_flow.instance (status, created_at, instance_id)
    WHERE status IN ('failed', 'cancelled');
CREATE INDEX instance_by_trigger
    ON forktex_flow.instance (triggered_by, created_at, instance_id)
    WHERE triggered_by <> 'manual';
CREATE INDEX instance_by_parent ON forktex_flow.instance (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX instance_by_retry ON forktex_flow.instance (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX instance_by_metadata ON forktex_flow.instance USING gin (metadata jsonb_path_ops)
    WHERE metadata <> '{}';
CREATE INDEX instance_by_input ON forktex_flow.instance USING gin (input jsonb_path_ops);
