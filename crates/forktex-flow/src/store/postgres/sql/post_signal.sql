-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts a signal into the inbox of a run that lives, and tells what came of it. Where it or one that is
-- known under its key is sealed, the known one is in the answer, to be compared by who asks.
-- Nothing is found where another transaction put in one under the same key meanwhile: ask again.
-- Locks: none but the new row. Index: inbox_by_idempotency_key, inbox_signals, active_pkey,
-- instance_pkey.
WITH known AS (
    SELECT is_sealed,
           CASE WHEN is_sealed OR $6 THEN payload::text END AS payload,
           CASE WHEN NOT (is_sealed OR $6) THEN payload::jsonb = $4::text::jsonb END AS is_same
    FROM forktex_flow.inbox
    WHERE instance_id = $1 AND name = $2 AND idempotency_key = $3
), room AS (
    SELECT count(*) < $5 AS is_left
    FROM (
        SELECT FROM forktex_flow.inbox
        WHERE instance_id = $1 AND kind = 1 AND NOT is_taken
        LIMIT $5
    ) AS waiting
), posted AS (
    INSERT INTO forktex_flow.inbox (instance_id, kind, name, idempotency_key, payload, is_sealed)
    SELECT active.instance_id, 1, $2, $3, $4::text::json, $6
    FROM forktex_flow.active
    WHERE active.instance_id = $1
      AND NOT EXISTS (SELECT FROM known)
      AND (SELECT is_left FROM room)
    ON CONFLICT (instance_id, name, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING message_id
)
SELECT EXISTS (SELECT FROM posted) AS is_posted,
       (SELECT is_sealed FROM known) AS known_is_sealed,
       (SELECT payload FROM known) AS known_payload,
       (SELECT is_same FROM known) AS is_same,
       (SELECT is_left FROM room) AS is_room_left,
       (SELECT status FROM forktex_flow.instance WHERE instance_id = $1) AS status
