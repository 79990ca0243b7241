-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes a job that is scheduled or held, and frees its unique lock unless that ends by time or never.
-- Locks: its row. Index: job_pkey, unique_lock_pkey.
WITH removed AS (
    DELETE FROM forktex_queue.job
    WHERE job_id = $1 AND place IN (1, 2)
    RETURNING job_id, queue, unique_key, unique_mode, limit_key
), freed AS (
    DELETE FROM forktex_queue.unique_lock
    USING removed
    WHERE removed.unique_mode IN (1, 2) AND unique_lock.queue = removed.queue
      AND unique_lock.unique_key = removed.unique_key AND unique_lock.job_id = removed.job_id
)
SELECT queue, limit_key FROM removed
