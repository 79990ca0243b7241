-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes jobs whose rows of `ready` are at $1, which `find_limited_jobs` holds, out of the order: they are
-- held until another of their limit ends, or scheduled ($3, microseconds since 1970). Their scores stay.
-- Locks: rows of ready, which are held already, then those jobs. Index: job_pkey.
WITH taken AS (
    DELETE FROM forktex_queue.ready
    WHERE ctid = ANY ($1::text[]::tid[])
    RETURNING job_id
)
UPDATE forktex_queue.job
SET place = CASE WHEN given.due_us IS NULL THEN 2 ELSE 1 END,
    due_at = coalesce(timestamptz 'epoch' + given.due_us * interval '1 microsecond', job.due_at),
    is_deferred = job.is_deferred OR given.due_us IS NOT NULL
FROM taken
JOIN unnest($2::uuid[], $3::bigint[]) AS given (job_id, due_us) ON given.job_id = taken.job_id
WHERE job.job_id = given.job_id AND job.place = 0
