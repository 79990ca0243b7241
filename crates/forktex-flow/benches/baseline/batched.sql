-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Fifty steps a commit, in one statement: each updates its run's row and appends one row. Every client
-- has runs of its own. Frozen. Locks: fifty runs. Index: run_pkey, journal_pkey.
\set first :client_id * 10000 + 50 * random(0, 199) + 1
WITH stepped AS (
    UPDATE bare.run SET sequence = sequence + 1, updated_at = now()
    WHERE run_id BETWEEN :first AND :first + 49
    RETURNING run_id, sequence
)
INSERT INTO bare.journal (run_id, sequence, node, payload)
SELECT run_id, sequence, 'step', NULL FROM stepped;
