-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Where a job stands, and where its row of `ready` would be.
-- Locks: none. Index: job_pkey.
SELECT place, generation, queue, tenant, score FROM forktex_queue.job WHERE job_id = $1
