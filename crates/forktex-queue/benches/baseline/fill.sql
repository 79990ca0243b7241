-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts in what one round of the bare loop takes. Frozen.
-- Locks: none but the new rows. Index: job_pkey, job_unclaimed.
INSERT INTO bare.job (payload)
SELECT '{"number":' || number || ',"to":"somebody@example.com"}' FROM generate_series(1, :jobs) AS number;
VACUUM ANALYZE bare.job;
