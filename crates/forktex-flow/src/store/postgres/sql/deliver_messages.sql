-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Delivers up to $1 messages to runs that nobody owns: wakes those that wait for them, and notes for
-- the others that their next owner will see them. The rows of an owned run stay as they are until it
-- waits.
-- Locks: those runs in the order of their ids, SKIP LOCKED; the messages. Index: inbox_undelivered,
-- active_pkey, inbox_pkey.
WITH message AS MATERIALIZED (
    SELECT inbox.instance_id, inbox.message_id, inbox.kind, inbox.name, inbox.is_failure
    FROM forktex_flow.inbox
    WHERE NOT inbox.is_delivered AND inbox.kind < 3
      AND NOT EXISTS (
          SELECT FROM forktex_flow.active
          WHERE active.instance_id = inbox.instance_id AND active.worker_id IS NOT NULL
      )
    LIMIT $1
), run AS MATERIALIZED (
    SELECT active.instance_id, active.waiting_signals, active.waiting_children, active.fails_fast
    FROM forktex_flow.active
    WHERE active.instance_id IN (SELECT instance_id FROM message) AND active.worker_id IS NULL
    ORDER BY active.instance_id
    FOR NO KEY UPDATE SKIP LOCKED
), told AS (
    SELECT run.instance_id,
           bool_or(
               (message.kind = 1 AND message.name = ANY (run.waiting_signals))
               OR (message.kind = 2 AND message.is_failure AND run.fails_fast)
           ) AS is_called,
           run.waiting_children - count(*) FILTER (WHERE message.kind = 2) AS children_left
    FROM run JOIN message ON message.instance_id = run.instance_id
    GROUP BY run.instance_id, run.waiting_children
), moved AS (
    UPDATE forktex_flow.active
    SET ready_at = CASE WHEN told.is_woken THEN now() END,
        waits_on = CASE WHEN told.is_woken THEN NULL ELSE active.waits_on END,
        wake_at = CASE WHEN told.is_woken THEN NULL ELSE active.wake_at END,
        waiting_signals = CASE WHEN told.is_woken THEN NULL ELSE active.waiting_signals END,
        waiting_children = CASE WHEN told.is_woken THEN NULL ELSE told.children_left END
    FROM (
        SELECT instance_id, children_left,
               coalesce(is_called, false) OR coalesce(children_left <= 0, false) AS is_woken
        FROM told
    ) AS told
    WHERE active.instance_id = told.instance_id
      AND (told.is_woken OR active.waiting_children <> told.children_left)
    RETURNING told.is_woken
), seen AS (
    UPDATE forktex_flow.inbox
    SET is_delivered = true
    FROM message
    WHERE inbox.instance_id = message.instance_id AND inbox.message_id = message.message_id
      AND (
          message.instance_id IN (SELECT instance_id FROM run)
          OR NOT EXISTS (
              SELECT FROM forktex_flow.active WHERE active.instance_id = message.instance_id
          )
      )
    RETURNING inbox.message_id
)
SELECT count(*) FILTER (WHERE is_woken) AS woken, (SELECT count(*) FROM seen) AS delivered FROM moved
