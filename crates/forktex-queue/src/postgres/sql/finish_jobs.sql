-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes jobs that are done and have neither a limit nor a unique lock that ends with them: what most
-- jobs come to. One that is in another generation by now is another's, and stays. Beside it go the leases
-- of which nothing was held any more before ($3).
-- Locks: the jobs, in the order in which they are given; those leases. Index: job_pkey, lease_pkey.
WITH forgotten AS (
    DELETE FROM forktex_queue.lease WHERE lease_id = ANY ($3::bigint[])
)
DELETE FROM forktex_queue.job
USING unnest($1::uuid[], $2::integer[]) AS given (job_id, generation)
WHERE job.job_id = given.job_id AND job.generation = given.generation AND job.place = 0
RETURNING job.job_id, job.generation
