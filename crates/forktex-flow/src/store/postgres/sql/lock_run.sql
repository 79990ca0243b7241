-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Locks a living run for its owner, a cancellation, or a move, and reads what is decided by.
-- Locks: the run, waiting. Index: active_pkey, journal_pkey.
SELECT active.epoch, active.definition_id, active.worker_id,
       active.cancel_requested_at IS NOT NULL AS is_cancelling,
       active.cancel_reason, active.paused_at IS NOT NULL AS is_paused, active.undo_reason,
       (SELECT coalesce(max(journal.sequence), 0) FROM forktex_flow.journal
        WHERE journal.instance_id = active.instance_id) AS sequence
FROM forktex_flow.active
WHERE active.instance_id = $1
FOR NO KEY UPDATE
