-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The run that has an idempotency key; whether the given version is its own, or one that it has moved
-- from, and whether the given input is its own. The input itself where none is given or the stored one
-- is sealed: it is then compared by who asks.
-- Locks: none. Index: instance_by_idempotency_key, journal_pkey.
SELECT instance.instance_id,
       instance.workflow_version = $4 OR EXISTS (
           SELECT FROM forktex_flow.journal
           WHERE journal.instance_id = instance.instance_id AND journal.kind = 16
             AND journal.visit = $4
       ) AS is_same_version,
       instance.input = $5::jsonb AS is_same_input,
       CASE WHEN $5::jsonb IS NULL OR jsonb_typeof(instance.input) = 'string'
           THEN instance.input END AS input
FROM forktex_flow.instance
WHERE instance.namespace = $1 AND instance.workflow_name = $2 AND instance.idempotency_key = $3
