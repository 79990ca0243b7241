-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Goes over up to $1 leases whose time is over, and takes back what they still hold: the jobs that are in
-- the generation that was given and were not renewed. They are ready again where they stood, or dead if
-- that was their last attempt, or gone if somebody asked that they end. Says what became of them, and
-- what limits have room again; and in each row how many leases were looked at. The first row is there
-- where nothing was taken back.
-- Locks: those leases, SKIP LOCKED; the jobs in the order of their ids.
-- Index: lease_by_end, lease_pkey, job_pkey, unique_lock_pkey, limit_running_pkey, ready_next.
WITH ended AS MATERIALIZED (
    SELECT lease_id, job_ids, generations
    FROM forktex_queue.lease
    WHERE until <= now()
    ORDER BY until
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), given AS (
    SELECT DISTINCT given.job_id, given.generation
    FROM ended
    CROSS JOIN LATERAL unnest(ended.job_ids, ended.generations) AS given (job_id, generation)
    ORDER BY given.job_id
), lost AS MATERIALIZED (
    SELECT job.*
    FROM given
    CROSS JOIN LATERAL (
        SELECT job.job_id, job.queue, job.tenant, job.score, job.unique_key, job.unique_mode,
               job.limit_key,
               CASE WHEN job.is_cancelling THEN 0
                    WHEN job.attempts + 1 >= job.attempts_max THEN 2
                    ELSE 1 END AS outcome
        FROM forktex_queue.job
        WHERE job.job_id = given.job_id AND job.generation = given.generation AND job.place = 0
          AND (job.lease_until IS NULL OR job.lease_until <= now())
        FOR UPDATE
    ) AS job
), forgotten AS (
    DELETE FROM forktex_queue.lease WHERE lease_id = ANY (ARRAY(SELECT lease_id FROM ended))
), removed AS (
    DELETE FROM forktex_queue.job USING lost WHERE job.job_id = lost.job_id AND lost.outcome = 0
), moved AS (
    UPDATE forktex_queue.job
    SET generation = job.generation + 1,
        attempts = job.attempts + 1,
        place = CASE WHEN lost.outcome = 2 THEN 3 ELSE 0 END,
        is_deferred = false,
        started_at = NULL, lease_until = NULL,
        died_at = CASE WHEN lost.outcome = 2 THEN now() END,
        dead_reason = CASE WHEN lost.outcome = 2 THEN 'lease_lost' END,
        note = $2
    FROM lost
    WHERE job.job_id = lost.job_id AND lost.outcome <> 0
), readied AS (
    INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
    SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM lost WHERE outcome = 1
), freed AS (
    DELETE FROM forktex_queue.unique_lock
    USING lost
    WHERE lost.outcome IN (0, 2) AND lost.unique_mode = 2 AND unique_lock.queue = lost.queue
      AND unique_lock.unique_key = lost.unique_key AND unique_lock.job_id = lost.job_id
), uncounted AS (
    DELETE FROM forktex_queue.limit_running AS running
    USING lost
    WHERE lost.limit_key IS NOT NULL AND running.queue = lost.queue
      AND running.limit_key = lost.limit_key AND running.job_id = lost.job_id
)
SELECT told.leases, lost.job_id, lost.outcome, lost.queue, lost.limit_key
FROM (SELECT count(*) AS leases FROM ended) AS told
LEFT JOIN lost ON true
