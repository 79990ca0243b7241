-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The table of the bare loop: one row a job. Frozen: a change here changes what the figures mean.
-- Locks: new tables. Index: none yet.
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
CREATE TABLE bare.job (
    job_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payload    text NOT NULL,
    claimed_at timestamptz
);
CREATE INDEX job_unclaimed ON bare.job (job_id) WHERE claimed_at IS NULL;
