-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What counts against limits of the queue $1, once for each of the numbers that jobs carry: how many jobs
-- of the key run, when the last were started that its rate still counts, and how many wait for it.
-- Locks: none; after `lock_limits`. Index: limit_running_pkey, rate_start_of_key, job_deferred.
SELECT given.number,
       (
           SELECT count(*)
           FROM forktex_queue.limit_running AS running
           WHERE running.queue = $1 AND running.limit_key = given.limit_key
       ) AS running,
       ARRAY(
           SELECT (extract(epoch FROM start.started_at) * 1000000)::bigint
           FROM forktex_queue.rate_start AS start
           WHERE start.queue = $1 AND start.limit_key = given.limit_key
             AND start.started_at > clock.now_at - given.rate_per_us * interval '1 microsecond'
           ORDER BY start.started_at DESC
           LIMIT coalesce(given.rate_count, 0)
       ) AS starts,
       (
           SELECT count(*)
           FROM (
               SELECT FROM forktex_queue.job
               WHERE job.queue = $1 AND job.limit_key = given.limit_key
                 AND job.place = 1 AND job.is_deferred
               LIMIT 10000
           ) AS waiting
       ) AS deferred,
       (extract(epoch FROM clock.now_at) * 1000000)::bigint AS now_us
FROM unnest($2::text[], $3::integer[], $4::bigint[]) WITH ORDINALITY
    AS given (limit_key, rate_count, rate_per_us, number)
CROSS JOIN (SELECT clock_timestamp() AS now_at OFFSET 0) AS clock
ORDER BY given.number
