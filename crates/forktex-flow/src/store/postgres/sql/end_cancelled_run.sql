-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Ends a run that is locked here as cancelled.
-- Locks: the run, held already; its instance row. Index: active_pkey, journal_pkey, instance_pkey.
WITH removed AS (
    DELETE FROM forktex_flow.active WHERE instance_id = $1
    RETURNING instance_id
), journalled AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, node, payload
    )
    SELECT instance_id, $2, 0, 0, 0, 0, 7, 0, '', json_build_object('reason', $3::text)
    FROM removed
)
UPDATE forktex_flow.instance
SET status = 'cancelled', finished_at = now(), cancel_reason = $3
FROM removed
WHERE instance.instance_id = removed.instance_id
