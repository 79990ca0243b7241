-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Commits the entries of many runs with the messages that they take, and has those wait or end that
-- say so. A run that another transaction has locked, whose epoch has moved on, or whose cancellation
-- or pause was asked for is left out. The end of a child is told to its parent, and the cancellation
-- of a parent to its children.
-- Locks: the runs in the order of their ids, SKIP LOCKED. Index: active_pkey, journal_pkey,
-- instance_pkey, inbox_pkey, active_child.
WITH run AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::bigint[], $3::boolean[], $4::bigint[], $5::text[], $6::text[], $7::text[],
        $18::boolean[], $19::text[], $20::text[], $21::integer[], $22::text[], $23::boolean[],
        $27::boolean[], $28::boolean[]
    ) AS run (
        instance_id, epoch, is_cancelling, wake_after_us, status, failure, cancel_reason, is_progress,
        waits_on, waiting_signals, waiting_children, current_nodes, is_pausing, fails_fast,
        is_undoing
    )
), held AS MATERIALIZED (
    SELECT run.instance_id, run.wake_after_us, run.status, run.failure, run.cancel_reason,
           run.waits_on, run.waiting_signals, run.waiting_children, run.current_nodes,
           run.fails_fast,
           active.losses,
           -- A body that ended, well or not, clears its run of the suspicion to kill its process.
           CASE WHEN run.is_progress THEN 0 ELSE active.losses END AS losses_after,
           active.alone AND NOT run.is_progress AS alone_after
    FROM run JOIN forktex_flow.active ON active.instance_id = run.instance_id
    WHERE active.epoch = run.epoch
      AND (active.cancel_requested_at IS NULL OR run.is_cancelling)
      AND (active.paused_at IS NULL OR run.is_pausing)
      AND (active.undo_reason IS NULL OR run.is_undoing)
    ORDER BY active.instance_id
    FOR NO KEY UPDATE OF active SKIP LOCKED
), journalled AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node, payload
    )
    SELECT entry.instance_id, entry.sequence, entry.elapsed_us, entry.superstep, entry.visit,
           entry.attempt, entry.kind, entry.member, entry.stage, entry.node, entry.payload::json
    FROM unnest(
        $8::uuid[], $9::bigint[], $10::bigint[], $11::integer[], $12::integer[], $13::integer[],
        $14::smallint[], $15::smallint[], $16::text[], $17::text[], $26::integer[]
    ) AS entry (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, node, payload,
        stage
    )
    JOIN held ON held.instance_id = entry.instance_id
), parked AS (
    UPDATE forktex_flow.active
    SET worker_id = NULL, waits_on = held.waits_on,
        wake_at = now() + held.wake_after_us * interval '1 microsecond',
        -- An array in an array would have to have the same length as the others.
        waiting_signals = string_to_array(held.waiting_signals, ' '),
        waiting_children = held.waiting_children, fails_fast = held.fails_fast,
        current_nodes = string_to_array(held.current_nodes, ' '),
        epoch = active.epoch + 1, losses = held.losses_after, alone = false, lost_attempts = 0
    FROM held
    WHERE active.instance_id = held.instance_id AND held.waits_on IS NOT NULL
), cleared AS (
    UPDATE forktex_flow.active
    SET losses = held.losses_after, alone = held.alone_after, lost_attempts = 0
    FROM held
    WHERE active.instance_id = held.instance_id AND held.losses > 0
      AND held.waits_on IS NULL AND held.status IS NULL
), removed AS (
    DELETE FROM forktex_flow.active
    USING held
    WHERE active.instance_id = held.instance_id AND held.status IS NOT NULL
    RETURNING active.instance_id, active.parent_id, active.sibling_group, held.status
), parent_told AS (
    INSERT INTO forktex_flow.inbox (instance_id, kind, name, is_failure)
    SELECT parent_id, 2, sibling_group, status <> 'completed'
    FROM removed
    WHERE parent_id IS NOT NULL
), children_told AS (
    INSERT INTO forktex_flow.inbox (instance_id, kind, name)
    SELECT child.instance_id, 3, 'its parent was cancelled'
    FROM removed JOIN forktex_flow.active AS child ON child.parent_id = removed.instance_id
    WHERE removed.status = 'cancelled'
), taken AS (
    UPDATE forktex_flow.inbox
    SET is_taken = true
    FROM unnest($24::uuid[], $25::bigint[]) AS message (instance_id, message_id)
    JOIN held ON held.instance_id = message.instance_id
    WHERE inbox.instance_id = message.instance_id AND inbox.message_id = message.message_id
), ended AS (
    UPDATE forktex_flow.instance
    SET status = held.status, finished_at = now(), failure = held.failure::json,
        cancel_reason = held.cancel_reason
    FROM held
    WHERE instance.instance_id = held.instance_id AND held.status IS NOT NULL
)
SELECT instance_id FROM held
