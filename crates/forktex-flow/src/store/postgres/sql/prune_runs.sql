-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes up to $5 runs of a status that ended more than $2 microseconds ago, each whole: of workflow $3,
-- or where that is NULL of all but $4. A run whose parent lives is kept.
-- Locks: those runs, SKIP LOCKED. Index: instance_by_creation, instance_by_workflow,
-- instance_by_bad_end, active_pkey, journal_pkey, inbox_pkey.
WITH old AS MATERIALIZED (
    SELECT instance.instance_id
    FROM forktex_flow.instance
    WHERE instance.status = $1
      AND instance.finished_at < now() - $2 * interval '1 microsecond'
      AND instance.created_at < now() - $2 * interval '1 microsecond'
      AND ($3::text IS NULL OR instance.workflow_name = $3)
      AND instance.workflow_name <> ALL ($4::text[])
      AND NOT EXISTS (
          SELECT FROM forktex_flow.active WHERE active.instance_id = instance.parent_id
      )
    ORDER BY instance.created_at, instance.instance_id
    LIMIT $5
    FOR UPDATE SKIP LOCKED
), journals AS (
    DELETE FROM forktex_flow.journal USING old WHERE journal.instance_id = old.instance_id
), messages AS (
    DELETE FROM forktex_flow.inbox USING old WHERE inbox.instance_id = old.instance_id
), removed AS (
    DELETE FROM forktex_flow.instance USING old WHERE instance.instance_id = old.instance_id
    RETURNING instance.instance_id
)
SELECT count(*) FROM removed
