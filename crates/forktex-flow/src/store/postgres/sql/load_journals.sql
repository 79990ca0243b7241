-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Reads the journals of some runs, each in its order.
-- Locks: none. Index: journal_pkey.
SELECT journal.instance_id, journal.sequence, journal.recorded_at, journal.elapsed_us,
       journal.superstep, journal.visit, journal.attempt, journal.kind, journal.member,
       journal.node, journal.payload::text AS payload
FROM unnest($1::uuid[]) AS wanted (instance_id)
JOIN forktex_flow.journal ON journal.instance_id = wanted.instance_id
ORDER BY journal.instance_id, journal.sequence
