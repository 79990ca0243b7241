-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Commits the entries of many runs with the messages that they take, and has those wait or end that
-- say so: most do neither, and are told of in few arrays ($1 to $3, flags as bits). A run that another transaction has locked, whose epoch has moved on, or whose cancellation
-- or pause was asked for is left out. The end of a child is told to its parent, and the cancellation
-- of a parent to its children.
-- Locks: the runs in the order of their ids, SKIP LOCKED. Index: active_pkey, journal_pkey,
-- instance_pkey, inbox_pkey, active_child.
WITH run AS (
    SELECT instance_id, epoch,
           flags & 1 <> 0 AS is_cancelling, flags & 2 <> 0 AS is_pausing,
           flags & 4 <> 0 AS is_undoing, flags & 8 <> 0 AS is_progress, flags & 16 <> 0 AS goes_on
    FROM unnest($1::uuid[], $2::bigint[], $3::smallint[]) AS run (instance_id, epoch, flags)
), held AS MATERIALIZED (
    SELECT run.instance_id, run.goes_on, active.losses,
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
), rest AS MATERIALIZED (
    SELECT held.instance_id, held.losses_after, rest.wake_after_us, rest.waits_on,
           -- An array in an array would have to have the same length as the others.
           string_to_array(rest.waiting_signals, ' ') AS waiting_signals, rest.waiting_children,
           string_to_array(rest.current_nodes, ' ') AS current_nodes, rest.fails_fast
    FROM unnest(
        $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::integer[], $9::text[], $10::boolean[]
    ) AS rest (
        instance_id, wake_after_us, waits_on, waiting_signals, waiting_children, current_nodes,
        fails_fast
    )
    JOIN held ON held.instance_id = rest.instance_id
), ending AS MATERIALIZED (
    SELECT held.instance_id, ending.status, ending.failure, ending.cancel_reason
    FROM unnest($11::uuid[], $12::text[], $13::text[], $14::text[])
        AS ending (instance_id, status, failure, cancel_reason)
    JOIN held ON held.instance_id = ending.instance_id
), journalled AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node, payload
    )
    SELECT entry.instance_id, entry.sequence, entry.elapsed_us, entry.superstep, entry.visit,
           entry.attempt, entry.kind, entry.member, entry.stage, entry.node, entry.payload::json
    FROM unnest(
        $15::uuid[], $16::bigint[], $17::bigint[], $18::integer[], $19::integer[], $20::integer[],
        $21::smallint[], $22::smallint[], $23::integer[], $24::text[], $25::text[]
    ) AS entry (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node,
        payload
    )
    JOIN held ON held.instance_id = entry.instance_id
), parked AS (
    UPDATE forktex_flow.active
    SET worker_id = NULL, waits_on = rest.waits_on,
        wake_at = now() + rest.wake_after_us * interval '1 microsecond',
        waiting_signals = rest.waiting_signals, waiting_children = rest.waiting_children,
        fails_fast = rest.fails_fast, current_nodes = rest.current_nodes,
        epoch = active.epoch + 1, losses = rest.losses_after, alone = false, lost_attempts = 0
    FROM rest
    WHERE active.instance_id = rest.instance_id
), cleared AS (
    UPDATE forktex_flow.active
    SET losses = held.losses_after, alone = held.alone_after, lost_attempts = 0
    FROM held
    WHERE active.instance_id = held.instance_id AND held.losses > 0 AND held.goes_on
), removed AS (
    DELETE FROM forktex_flow.active
    USING ending
    WHERE active.instance_id = ending.instance_id
    RETURNING active.instance_id, active.parent_id, active.sibling_group, active.started_at,
              ending.status, ending.failure, ending.cancel_reason
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
    FROM unnest($26::uuid[], $27::bigint[]) AS message (instance_id, message_id)
    JOIN held ON held.instance_id = message.instance_id
    WHERE inbox.instance_id = message.instance_id AND inbox.message_id = message.message_id
), ended AS (
    UPDATE forktex_flow.instance
    SET status = removed.status, finished_at = now(), failure = removed.failure::json,
        started_at = coalesce(instance.started_at, removed.started_at),
        cancel_reason = removed.cancel_reason
    FROM removed
    WHERE instance.instance_id = removed.instance_id
)
SELECT instance_id FROM held
