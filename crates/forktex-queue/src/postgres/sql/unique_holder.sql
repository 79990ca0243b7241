-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Which job holds a unique lock.
-- Locks: none. Index: unique_lock_pkey.
SELECT job_id
FROM forktex_queue.unique_lock
WHERE queue = $1 AND unique_key = $2 AND (until IS NULL OR until > now())
