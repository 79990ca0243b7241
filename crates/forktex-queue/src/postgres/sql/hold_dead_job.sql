-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Holds a dead letter, and tells what unique lock it needs to live again.
-- Locks: its row. Index: job_pkey.
SELECT queue, unique_key, unique_mode, limit_key
FROM forktex_queue.job
WHERE job_id = $1 AND place = 3
FOR UPDATE
