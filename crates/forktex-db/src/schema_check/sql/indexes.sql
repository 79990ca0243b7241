-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The valid indexes of the tables named in $1, with their key columns in order; an expression gives an
-- empty name. Locks: none but those of a read. Index: pg_index_indrelid_index.
SELECT
    wanted.position - 1                                    AS table_position,
    index.indisunique                                      AS is_unique,
    index.indisprimary                                     AS is_primary,
    pg_get_expr(index.indpred, index.indrelid)             AS predicate,
    ARRAY(
        SELECT coalesce(attribute.attname::text, '')
        FROM unnest(index.indkey::int2[]) WITH ORDINALITY AS key (number, position)
        LEFT JOIN pg_attribute AS attribute
            ON attribute.attrelid = index.indrelid AND attribute.attnum = key.number
        WHERE key.position <= index.indnkeyatts
        ORDER BY key.position
    )                                                      AS columns
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, position)
JOIN pg_index AS index ON index.indrelid = to_regclass(wanted.name)
WHERE index.indisvalid
ORDER BY wanted.position, index.indexrelid
