-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims 200 jobs in one statement and removes them in another, a commit each. Frozen.
-- Locks: the jobs, SKIP LOCKED. Index: job_unclaimed, job_pkey.
WITH next AS (
    SELECT job_id FROM bare.job WHERE claimed_at IS NULL
    ORDER BY job_id LIMIT 200 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE bare.job SET claimed_at = now() FROM next WHERE job.job_id = next.job_id
    RETURNING job.job_id, job.payload
)
SELECT coalesce(array_agg(job_id), '{}') AS ids, array_agg(payload) AS payloads FROM claimed \gset
DELETE FROM bare.job WHERE job_id = ANY (:ids::bigint[]);
