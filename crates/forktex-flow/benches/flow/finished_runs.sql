-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Lays :runs finished runs beside the one run that is there, which the engine wrote: copies of it with
-- ids, times and inputs of their own, one a millisecond and more, up to an hour ago.
-- Locks: new rows. Index: instance_pkey, journal_pkey.
BEGIN;

CREATE TEMPORARY TABLE laid ON COMMIT DROP AS
SELECT number, created_at,
       -- Version 7: the milliseconds, then what tells ids of one millisecond apart.
       (
           lpad(to_hex(floor(extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
           || '7' || substr(md5(number::text), 1, 3) || '8' || substr(md5(number::text), 4, 15)
       )::uuid AS instance_id
FROM (
    SELECT number, now() - interval '1 hour' - (:runs - number) * interval '20 milliseconds'
    FROM generate_series(1, :runs) AS number
) AS numbered (number, created_at);

CREATE TEMPORARY TABLE sample ON COMMIT DROP AS SELECT * FROM forktex_flow.instance;

INSERT INTO forktex_flow.instance (
    instance_id, definition_id, namespace, workflow_name, workflow_version, status, triggered_by,
    created_at, started_at, finished_at, input, metadata
)
SELECT laid.instance_id, sample.definition_id, sample.namespace, sample.workflow_name,
       sample.workflow_version, sample.status, sample.triggered_by, laid.created_at,
       laid.created_at + (sample.started_at - sample.created_at),
       laid.created_at + (sample.finished_at - sample.created_at),
       jsonb_build_object('number', laid.number), sample.metadata
FROM laid CROSS JOIN sample
ORDER BY laid.number;

INSERT INTO forktex_flow.journal (
    instance_id, sequence, recorded_at, elapsed_us, superstep, visit, attempt, kind, member, stage,
    node, payload
)
SELECT laid.instance_id, entry.sequence, laid.created_at + (entry.recorded_at - sample.created_at),
       entry.elapsed_us, entry.superstep, entry.visit, entry.attempt, entry.kind, entry.member,
       entry.stage, entry.node, entry.payload
FROM laid
CROSS JOIN sample
JOIN forktex_flow.journal AS entry ON entry.instance_id = sample.instance_id
ORDER BY laid.number, entry.sequence;

COMMIT;

VACUUM (FREEZE, ANALYZE) forktex_flow.instance, forktex_flow.journal, forktex_flow.active;
CHECKPOINT;
