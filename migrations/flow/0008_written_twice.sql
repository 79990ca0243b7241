-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- A run's row in `instance` is written twice, when it is started and when it ends, and the second
-- time in place: room for it is left in the page, and no index holds what changes where a run completes.
--
-- While a run lives, `active.started_at` says whether a worker ever had it. Rows that an earlier
-- version wrote may say so themselves, in `status` and `started_at`; both are read.
ALTER TABLE forktex_flow.active ADD COLUMN started_at timestamptz;

UPDATE forktex_flow.active
SET started_at = instance.started_at
FROM forktex_flow.instance
WHERE instance.instance_id = active.instance_id AND instance.started_at IS NOT NULL;

DROP INDEX forktex_flow.instance_by_bad_end;
CREATE INDEX instance_by_bad_end ON forktex_flow.instance (created_at, instance_id)
    WHERE failure IS NOT NULL OR cancel_reason IS NOT NULL;

-- The planner never takes the two for small tables: a plan that was made while they were, and is kept,
-- reads them whole once they have grown. So 256 pages of each are laid out, and no vacuum gives them back.
ALTER TABLE forktex_flow.active SET (fillfactor = 10, vacuum_truncate = off);
INSERT INTO forktex_flow.active (instance_id, definition_id, ready_at, current_nodes)
SELECT gen_random_uuid(), 0, now(), ARRAY[repeat('x', 1500)] FROM generate_series(1, 256);
DELETE FROM forktex_flow.active WHERE definition_id = 0;
ALTER TABLE forktex_flow.active SET (fillfactor = 70);

ALTER TABLE forktex_flow.instance SET (fillfactor = 10, vacuum_truncate = off);
INSERT INTO forktex_flow.instance (
    instance_id, definition_id, namespace, workflow_name, workflow_version, status, triggered_by,
    input, metadata
)
SELECT gen_random_uuid(), 0, '', '', 1, 'pending', 'manual',
       jsonb_build_object('filler', repeat('x', 1500)), '{}'
FROM generate_series(1, 256);
DELETE FROM forktex_flow.instance WHERE definition_id = 0;
ALTER TABLE forktex_flow.instance SET (fillfactor = 70);
