-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes a unique lock that no time ends for a job, if it is free, its time is over, or it is the job's.
-- Locks: that row. Index: unique_lock_pkey.
INSERT INTO forktex_queue.unique_lock (queue, unique_key, job_id, until)
VALUES ($1, $2, $3, NULL)
ON CONFLICT (queue, unique_key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until
WHERE unique_lock.until <= now() OR unique_lock.job_id = excluded.job_id
