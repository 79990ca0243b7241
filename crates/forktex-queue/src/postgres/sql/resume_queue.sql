-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Has jobs of a queue be given again.
-- Locks: its row. Index: paused_queue_pkey.
DELETE FROM forktex_queue.paused_queue WHERE queue = $1
