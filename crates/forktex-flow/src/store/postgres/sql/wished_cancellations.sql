-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Up to $1 runs that are to end because of their parent, and why.
-- Locks: none; each is cancelled in a transaction of its own. Index: inbox_cancellations.
SELECT instance_id, name FROM forktex_flow.inbox WHERE kind = 3 ORDER BY message_id LIMIT $1
