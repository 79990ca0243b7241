-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Commits the entries of many runs, and parks or ends those that say so. A run that another
-- transaction has locked, whose epoch has moved on, or whose cancellation was asked for is left out.
-- Locks: the runs in the order of their ids, SKIP LOCKED. Index: active_pkey, journal_pkey,
-- instance_pkey.
WITH run AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::bigint[], $3::boolean[], $4::bigint[], $5::text[], $6::text[], $7::text[],
        $18::boolean[]
    ) AS run (
        instance_id, epoch, is_cancelling, wake_after_us, status, failure, cancel_reason, is_progress
    )
), held AS MATERIALIZED (
    SELECT run.instance_id, run.wake_after_us, run.status, run.failure, run.cancel_reason,
           active.losses,
           -- A body that ended, well or not, clears its run of the suspicion to kill its process.
           CASE WHEN run.is_progress THEN 0 ELSE active.losses END AS losses_after,
           active.alone AND NOT run.is_progress AS alone_after
    FROM run JOIN forktex_flow.active ON active.instance_id = run.instance_id
    WHERE active.epoch = run.epoch
      AND (active.cancel_requested_at IS NULL OR run.is_cancelling)
    ORDER BY active.instance_id
    FOR NO KEY UPDATE OF active SKIP LOCKED
), journalled AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, node, payload
    )
    SELECT entry.instance_id, entry.sequence, entry.elapsed_us, entry.superstep, entry.visit,
           entry.attempt, entry.kind, entry.member, entry.node, entry.payload::json
    FROM unnest(
        $8::uuid[], $9::bigint[], $10::bigint[], $11::integer[], $12::integer[], $13::integer[],
        $14::smallint[], $15::smallint[], $16::text[], $17::text[]
    ) AS entry (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, node, payload
    )
    JOIN held ON held.instance_id = entry.instance_id
), parked AS (
    UPDATE forktex_flow.active
    SET worker_id = NULL, wake_at = now() + held.wake_after_us * interval '1 microsecond',
        epoch = active.epoch + 1, losses = held.losses_after, alone = false, lost_attempts = 0
    FROM held
    WHERE active.instance_id = held.instance_id AND held.wake_after_us IS NOT NULL
), cleared AS (
    UPDATE forktex_flow.active
    SET losses = held.losses_after, alone = held.alone_after, lost_attempts = 0
    FROM held
    WHERE active.instance_id = held.instance_id AND held.losses > 0
      AND held.wake_after_us IS NULL AND held.status IS NULL
), removed AS (
    DELETE FROM forktex_flow.active
    USING held
    WHERE active.instance_id = held.instance_id AND held.status IS NOT NULL
), ended AS (
    UPDATE forktex_flow.instance
    SET status = held.status, finished_at = now(), failure = held.failure::json,
        cancel_reason = held.cancel_reason
    FROM held
    WHERE instance.instance_id = held.instance_id AND held.status IS NOT NULL
)
SELECT instance_id FROM held
