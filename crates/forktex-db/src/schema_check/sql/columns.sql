-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The columns of the tables named in $1, and how the tables guard their rows. A table that is not there
-- gives no row. Locks: none but those of a read.
-- Index: pg_class_oid_index, pg_attribute_relid_attnum_index.
SELECT
    wanted.position - 1                        AS table_position,
    relation.relrowsecurity                    AS has_row_security,
    relation.relforcerowsecurity               AS forces_row_security,
    attribute.attname::text                    AS name,
    format_type(attribute.atttypid, NULL)      AS sql_type,
    attribute.attnotnull                       AS is_not_null,
    (attribute.atthasdef OR attribute.attidentity <> '') AS has_default
FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, position)
JOIN pg_class AS relation ON relation.oid = to_regclass(wanted.name)
JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
WHERE attribute.attnum > 0
  AND NOT attribute.attisdropped
ORDER BY wanted.position, attribute.attnum
