-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The oldest signal of some names that a run has not taken. Locks: none. Index: inbox_signals.
SELECT message_id, name, idempotency_key, payload::text AS payload, is_sealed, sent_at
FROM forktex_flow.inbox
WHERE instance_id = $1 AND kind = 1 AND NOT is_taken AND name = ANY ($2::text[])
ORDER BY message_id
LIMIT 1
