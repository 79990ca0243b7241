-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Commits the entries of many runs that all go on: what most checkpoints are, without all that
-- `commit_checkpoints` does for the others. A run that another transaction has locked, whose epoch has
-- moved on, that is a suspect, or whose cancellation or pause was asked for is left out.
-- Locks: the runs, SKIP LOCKED. Index: active_pkey, journal_pkey.
WITH held AS MATERIALIZED (
    SELECT entry.*
    FROM unnest(
        $1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[], $6::integer[],
        $7::integer[], $8::smallint[], $9::smallint[], $10::integer[], $11::text[], $12::text[]
    ) AS entry (
        instance_id, epoch, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage,
        node, payload
    )
    CROSS JOIN LATERAL (
        -- Found one by one whatever the planner believes of the table.
        SELECT FROM forktex_flow.active
        WHERE active.instance_id = entry.instance_id AND active.epoch = entry.epoch
          AND active.cancel_requested_at IS NULL AND active.losses = 0
          AND active.paused_at IS NULL AND active.undo_reason IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS run
), journalled AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node, payload
    )
    SELECT instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node,
           payload::json
    FROM held
)
SELECT instance_id FROM held
