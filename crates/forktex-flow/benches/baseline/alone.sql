-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- One step a commit, in one statement: it updates its run's row and appends one row. Frozen.
-- Locks: one run. Index: run_pkey, journal_pkey.
\set run random(1, 40000)
WITH stepped AS (
    UPDATE bare.run SET sequence = sequence + 1, updated_at = now()
    WHERE run_id = :run
    RETURNING run_id, sequence
)
INSERT INTO bare.journal (run_id, sequence, node, payload)
SELECT run_id, sequence, 'step', NULL FROM stepped;
