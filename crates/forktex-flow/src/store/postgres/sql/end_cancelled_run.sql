-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Ends a run that is locked here as cancelled, and tells its parent and its children. The last sequence
-- is read here and not with the lock, whose statement does not see the entries that it waited for.
-- Locks: the run, held already; its instance row. Index: active_pkey, active_child, journal_pkey,
-- instance_pkey.
WITH removed AS (
    DELETE FROM forktex_flow.active WHERE instance_id = $1
    RETURNING instance_id, parent_id, sibling_group, started_at
), parent_told AS (
    INSERT INTO forktex_flow.inbox (instance_id, kind, name, is_failure)
    SELECT parent_id, 2, sibling_group, true FROM removed WHERE parent_id IS NOT NULL
), children_told AS (
    INSERT INTO forktex_flow.inbox (instance_id, kind, name)
    SELECT child.instance_id, 3, 'its parent was cancelled'
    FROM removed JOIN forktex_flow.active AS child ON child.parent_id = removed.instance_id
), journalled AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node, payload
    )
    SELECT removed.instance_id, (
               SELECT coalesce(max(journal.sequence), 0) + 1 FROM forktex_flow.journal
               WHERE journal.instance_id = $1
           ), 0, 0, 0, 0, 7, 0, -1, '', json_build_object('reason', $2::text)
    FROM removed
)
UPDATE forktex_flow.instance
SET status = 'cancelled', finished_at = now(), cancel_reason = $2,
    started_at = coalesce(instance.started_at, removed.started_at)
FROM removed
WHERE instance.instance_id = removed.instance_id
