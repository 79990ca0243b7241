-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The foreign keys of the tables named in $1: their columns, and the columns that they name.
-- Locks: none but those of a read. Index: pg_constraint_conrelid_contypid_conname_index.
SELECT
    wanted.position - 1                       AS table_position,
    ARRAY(
        SELECT attribute.attname::text
        FROM unnest(reference.conkey) WITH ORDINALITY AS key (number, position)
        JOIN pg_attribute AS attribute
            ON attribute.attrelid = reference.conrelid AND attribute.attnum = key.number
        ORDER BY key.position
    )                                         AS columns,
    target.relname::text                      AS target,
    ARRAY(
        SELECT attribute.attname::text
        FROM unnest(reference.confkey) WITH ORDINALITY AS key (number, position)
        JOIN pg_attribute AS attribute
            ON attribute.attrelid = reference.confrelid AND attribute.attnum = key.number
        ORDER BY key.position
    )                                         AS target_columns
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, position)
JOIN pg_constraint AS reference
    ON reference.conrelid = to_regclass(wanted.name) AND reference.contype = 'f'
JOIN pg_class AS target ON target.oid = reference.confrelid
ORDER BY wanted.position, reference.oid
