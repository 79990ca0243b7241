-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes a dead letter. Its unique lock was freed when it died, unless that ends by time or never.
-- Locks: its row. Index: job_pkey.
DELETE FROM forktex_queue.job WHERE job_id = $1 AND place = 3
