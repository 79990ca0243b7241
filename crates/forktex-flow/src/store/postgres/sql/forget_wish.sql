-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Forgets that a run is to end, once its cancellation was asked for. Index: inbox_pkey.
-- Locks: the message.
DELETE FROM forktex_flow.inbox WHERE instance_id = $1 AND kind = 3
