-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Starts a run that goes on from the entries $4 of another one's journal, of definition $7 and version
-- $8 where they are given and else of the other one's; none where that definition was made at run time
-- and is removed. What is sealed is bound to its run and sequence: it comes anew as the input $5 and the
-- payloads $6 of those entries, in their order.
-- Locks: that definition, shared; the new rows. Index: instance_pkey, journal_pkey,
-- runtime_definition_pkey.
WITH other AS (
    SELECT instance_id, coalesce($7, definition_id) AS definition_id, namespace, workflow_name,
           coalesce($8, workflow_version) AS workflow_version, input, metadata
    FROM forktex_flow.instance
    WHERE instance_id = $1
), kept AS MATERIALIZED (
    SELECT runtime_definition.definition_id
    FROM forktex_flow.runtime_definition
    WHERE runtime_definition.definition_id = (SELECT definition_id FROM other)
      AND NOT runtime_definition.is_removed
    FOR SHARE
), source AS (
    SELECT instance_id, definition_id, namespace, workflow_name, workflow_version, input, metadata
    FROM other
    WHERE EXISTS (SELECT FROM kept)
       OR NOT EXISTS (
           SELECT FROM forktex_flow.runtime_definition
           WHERE runtime_definition.definition_id = other.definition_id
       )
), inserted AS (
    INSERT INTO forktex_flow.instance (
        instance_id, definition_id, namespace, workflow_name, workflow_version, status,
        triggered_by, retry_of, input, metadata
    )
    SELECT $2, definition_id, namespace, workflow_name, workflow_version, 'pending',
           $3, instance_id, coalesce($5::jsonb, input), metadata
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
    SELECT $2, row_number() OVER kept_order, journal.recorded_at,
           journal.elapsed_us, journal.superstep, journal.visit, journal.attempt, journal.kind,
           journal.member, journal.stage, journal.node,
           CASE WHEN $6::text[] IS NULL THEN journal.payload
                ELSE ($6::text[])[(row_number() OVER kept_order)::integer]::json END
    FROM forktex_flow.journal
    WHERE journal.instance_id = $1 AND journal.sequence = ANY ($4::bigint[])
      AND EXISTS (SELECT FROM inserted)
    WINDOW kept_order AS (ORDER BY journal.sequence)
)
SELECT count(*) AS started FROM inserted
