-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Makes a dead letter ready, with all its attempts, as if it were put in now.
-- Locks: its row, which is held. Index: job_pkey, ready_next.
WITH moved AS (
    UPDATE forktex_queue.job
    SET place = 0, generation = generation + 1, attempts = 0, is_cancelling = false, is_deferred = false,
        started_at = NULL, died_at = NULL, dead_reason = NULL, note = NULL,
        due_at = now(),
        score = (extract(epoch FROM now()) * 1000000)::bigint - priority::bigint * 30000000
    WHERE job_id = $1 AND place = 3
    RETURNING job_id, queue, tenant, score, limit_key
)
INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM moved
