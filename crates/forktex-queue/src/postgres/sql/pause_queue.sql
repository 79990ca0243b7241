-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Has nobody be given jobs of a queue.
-- Locks: its row. Index: paused_queue_pkey.
INSERT INTO forktex_queue.paused_queue (queue) VALUES ($1) ON CONFLICT (queue) DO NOTHING
