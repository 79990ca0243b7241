-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The run that has an idempotency key, and whether its input is the given one and the given version is
-- its own, or one that it has moved from.
-- Locks: none. Index: instance_by_idempotency_key, journal_pkey.
SELECT instance.instance_id,
       instance.input = $5 AND (
           instance.workflow_version = $4
           OR EXISTS (
               SELECT FROM forktex_flow.journal
               WHERE journal.instance_id = instance.instance_id AND journal.kind = 16
                 AND journal.payload #>> '{move,from,version}' = $4::text
           )
       ) AS is_same
FROM forktex_flow.instance
WHERE instance.namespace = $1 AND instance.workflow_name = $2 AND instance.idempotency_key = $3
