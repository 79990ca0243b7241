-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Moves a run that is locked here from definition $2 to $4, where nobody owns it and $3 is still the
-- last sequence of its journal, and makes it ready unless it waits for its turn. What the run waited
-- for is found out anew by whoever claims it.
-- Locks: the run, held already; its instance row. Index: active_pkey, journal_pkey, instance_pkey.
WITH moved AS (
    UPDATE forktex_flow.active
    SET definition_id = $4, epoch = active.epoch + 1, current_nodes = $6,
        ready_at = CASE WHEN active.waits_on = 'turn' THEN NULL ELSE coalesce(active.ready_at, now()) END,
        waits_on = CASE WHEN active.waits_on = 'turn' THEN active.waits_on END,
        wake_at = NULL, waiting_signals = NULL, waiting_children = NULL, fails_fast = false
    WHERE active.instance_id = $1 AND active.definition_id = $2 AND active.worker_id IS NULL
      AND $3 = (
          SELECT coalesce(max(journal.sequence), 0) FROM forktex_flow.journal
          WHERE journal.instance_id = $1
      )
    RETURNING active.instance_id
), journalled AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, elapsed_us, superstep, visit, attempt, kind, member, stage, node, payload
    )
    SELECT moved.instance_id, $3 + 1, 0, $7, $10, 0, 16, 0, $8, '', $9::text::json
    FROM moved
), pinned AS (
    UPDATE forktex_flow.instance
    SET definition_id = $4, workflow_version = $5
    FROM moved
    WHERE instance.instance_id = moved.instance_id
)
SELECT count(*) AS written FROM moved
