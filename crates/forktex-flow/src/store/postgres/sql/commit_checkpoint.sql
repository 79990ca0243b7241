-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Commits one entry of one run that goes on: the way of a run alone, cheaper than the arrays.
-- Locks: the run, waiting. Index: active_pkey, journal_pkey.
WITH held AS (
    SELECT instance_id FROM forktex_flow.active
    WHERE instance_id = $1 AND epoch = $2 AND cancel_requested_at IS NULL AND losses = 0
      AND paused_at IS NULL AND undo_reason IS NULL
    FOR NO KEY UPDATE
)
INSERT INTO forktex_flow.journal (
    instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node, payload
)
SELECT held.instance_id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::text::json
FROM held
