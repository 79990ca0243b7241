-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The next $3 entries of a run's journal after a sequence number. Locks: none. Index: journal_pkey.
SELECT journal.instance_id, journal.sequence, journal.recorded_at, journal.elapsed_us,
       journal.superstep, journal.visit, journal.attempt, journal.kind, journal.member,
       journal.node, journal.payload::text AS payload
FROM forktex_flow.journal
WHERE journal.instance_id = $1 AND journal.sequence > $2
ORDER BY journal.sequence
LIMIT $3
