-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Marks a message as taken, without a look at who owns the run. Locks: the message. Index: inbox_pkey.
UPDATE forktex_flow.inbox SET is_taken = true WHERE instance_id = $1 AND message_id = $2
