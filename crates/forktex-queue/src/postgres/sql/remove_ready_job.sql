-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes a job that nobody has taken, and frees its unique lock unless that ends by time or never. A
-- claim of it that is under way is waited for, and then it is not removed.
-- Locks: its row of ready, then its own. Index: ready_next, job_pkey, unique_lock_pkey.
WITH taken AS (
    DELETE FROM forktex_queue.ready
    WHERE queue = $2 AND tenant = $3 AND score = $4 AND job_id = $1
    RETURNING job_id
), removed AS (
    DELETE FROM forktex_queue.job
    USING taken
    WHERE job.job_id = taken.job_id
    RETURNING job.job_id, job.queue, job.unique_key, job.unique_mode, job.limit_key
), freed AS (
    DELETE FROM forktex_queue.unique_lock
    USING removed
    WHERE removed.unique_mode IN (1, 2) AND unique_lock.queue = removed.queue
      AND unique_lock.unique_key = removed.unique_key AND unique_lock.job_id = removed.job_id
)
SELECT queue, limit_key FROM removed
