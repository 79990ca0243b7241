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

ALTER TABLE forktex_flow.instance SET (fillfactor = 70);

DROP INDEX forktex_flow.instance_by_bad_end;
CREATE INDEX instance_by_bad_end ON forktex_flow.instance (created_at, instance_id)
    WHERE failure IS NOT NULL OR cancel_reason IS NOT NULL;
