-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Asks that a job in this generation ends, which runs: its worker is told when it renews its lease.
-- Locks: its row. Index: job_pkey, ready_next.
UPDATE forktex_queue.job
SET is_cancelling = true
WHERE job_id = $1 AND generation = $2 AND place = 0 AND NOT EXISTS (
    SELECT FROM forktex_queue.ready
    WHERE ready.queue = job.queue AND ready.tenant = job.tenant AND ready.score = job.score
      AND ready.job_id = job.job_id
)
