-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- For up to $1 children that have ended, has a sibling of each be ready that waits for its turn.
-- Locks: the messages and those siblings, SKIP LOCKED. Index: inbox_turns, active_child, inbox_pkey.
WITH ended AS MATERIALIZED (
    SELECT instance_id, message_id, name
    FROM forktex_flow.inbox
    WHERE kind = 2 AND NOT is_passed_on
    ORDER BY message_id
    LIMIT $1
    FOR NO KEY UPDATE SKIP LOCKED
), freed AS (
    SELECT instance_id AS parent_id, name AS sibling_group, count(*) AS places
    FROM ended
    GROUP BY instance_id, name
), next AS MATERIALIZED (
    SELECT sibling.instance_id
    FROM freed
    CROSS JOIN LATERAL (
        SELECT active.instance_id
        FROM forktex_flow.active
        WHERE active.parent_id = freed.parent_id
          AND active.sibling_group = freed.sibling_group
          AND active.waits_on = 'turn'
        ORDER BY active.instance_id
        LIMIT freed.places
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS sibling
), readied AS (
    UPDATE forktex_flow.active
    SET ready_at = now(), waits_on = NULL
    FROM next
    WHERE active.instance_id = next.instance_id
    RETURNING active.instance_id
), passed_on AS (
    UPDATE forktex_flow.inbox
    SET is_passed_on = true
    FROM ended
    WHERE inbox.instance_id = ended.instance_id AND inbox.message_id = ended.message_id
)
SELECT count(*) AS readied FROM readied
