-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Starts a run that goes on from the entries $4 of another one's journal.
-- Locks: none but the new rows. Index: instance_pkey, journal_pkey.
WITH source AS (
    SELECT instance_id, definition_id, namespace, workflow_name, workflow_version, input, metadata
    FROM forktex_flow.instance
    WHERE instance_id = $1
), inserted AS (
    INSERT INTO forktex_flow.instance (
        instance_id, definition_id, namespace, workflow_name, workflow_version, status,
        triggered_by, retry_of, input, metadata
    )
    SELECT $2, definition_id, namespace, workflow_name, workflow_version, 'pending',
           $3, instance_id, input, metadata
    FROM source
    RETURNING instance_id, definition_id, namespace
), activated AS (
    INSERT INTO forktex_flow.active (instance_id, definition_id, namespace, ready_at)
    SELECT instance_id, definition_id, nullif(namespace, ''), now() FROM inserted
), copied AS (
    INSERT INTO forktex_flow.journal (
        instance_id, sequence, recorded_at, elapsed_us, superstep, visit, attempt, kind, member,
        stage, node, payload
    )
    SELECT $2, row_number() OVER (ORDER BY journal.sequence), journal.recorded_at,
           journal.elapsed_us, journal.superstep, journal.visit, journal.attempt, journal.kind,
           journal.member, journal.stage, journal.node, journal.payload
    FROM forktex_flow.journal
    WHERE journal.instance_id = $1 AND journal.sequence = ANY ($4::bigint[])
      AND EXISTS (SELECT FROM inserted)
)
SELECT count(*) AS started FROM inserted
