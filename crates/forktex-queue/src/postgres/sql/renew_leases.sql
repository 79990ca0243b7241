-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Has leases last $4 microseconds from now on. Most jobs end before their first renewal, so that this is
-- the first that writes to their row. Says which are held, and of which somebody asks that they end.
-- Locks: the jobs, in the order in which they are given. Index: job_pkey, lease_pkey.
WITH renewed AS (
    UPDATE forktex_queue.job
    SET lease_until = now() + $4::bigint * interval '1 microsecond',
        started_at = coalesce(job.started_at, given.taken_at, now())
    FROM (
        SELECT given.job_id, given.generation, lease.taken_at
        FROM unnest($1::uuid[], $2::integer[], $3::bigint[]) AS given (job_id, generation, lease_id)
        LEFT JOIN forktex_queue.lease ON lease.lease_id = given.lease_id
    ) AS given
    WHERE job.job_id = given.job_id AND job.generation = given.generation AND job.place = 0
    RETURNING job.job_id, job.generation, job.is_cancelling
), leased AS (
    INSERT INTO forktex_queue.lease (worker_id, taken_at, until, job_ids, generations)
    SELECT $5::uuid, now(), now() + $4::bigint * interval '1 microsecond',
           array_agg(job_id), array_agg(generation)
    FROM renewed
    HAVING count(*) > 0
)
SELECT job_id, generation, is_cancelling FROM renewed
