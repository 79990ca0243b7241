-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes up to $2 each of the dead letters that are older than $1 microseconds, of the unique locks whose
-- time is over, and of the starts that no rate asks for any more.
-- Locks: those rows, SKIP LOCKED. Index: job_by_death, unique_lock_by_end, rate_start_by_end.
WITH dead AS (
    DELETE FROM forktex_queue.job
    WHERE ctid = ANY (ARRAY(
        SELECT old.place
        FROM (
            SELECT ctid AS place
            FROM forktex_queue.job
            WHERE place = 3 AND died_at <= now() - $1::bigint * interval '1 microsecond'
            ORDER BY died_at
            LIMIT $2::bigint
            FOR UPDATE SKIP LOCKED
        ) AS old
        -- For the planner, as in `claim_jobs`.
        LIMIT 1000
    ))
    RETURNING 1
), unlocked AS (
    DELETE FROM forktex_queue.unique_lock
    WHERE ctid = ANY (ARRAY(
        SELECT old.place
        FROM (
            SELECT ctid AS place
            FROM forktex_queue.unique_lock
            WHERE until <= now()
            ORDER BY until
            LIMIT $2::bigint
            FOR UPDATE SKIP LOCKED
        ) AS old
        -- For the planner, as in `claim_jobs`.
        LIMIT 1000
    ))
    RETURNING 1
), forgotten AS (
    DELETE FROM forktex_queue.rate_start
    WHERE ctid = ANY (ARRAY(
        SELECT old.place
        FROM (
            SELECT ctid AS place
            FROM forktex_queue.rate_start
            -- Later than it must: statements that began at the same time look at it by clocks of their own.
            WHERE until <= now() - interval '1 minute'
            ORDER BY until
            LIMIT $2::bigint
            FOR UPDATE SKIP LOCKED
        ) AS old
        -- For the planner, as in `claim_jobs`.
        LIMIT 1000
    ))
    RETURNING 1
)
SELECT (SELECT count(*) FROM dead) AS dead, (SELECT count(*) FROM unlocked) AS unlocked,
       (SELECT count(*) FROM forgotten) AS forgotten
