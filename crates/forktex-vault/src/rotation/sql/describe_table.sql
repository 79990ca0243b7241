-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What the catalog says of table $2 in schema $1, and of its columns: the value's $3, the id's $4, the
-- organisation's $5 and the source's $6. Rows are hidden by row-level security, but not by our own policy
-- alone where each row has an organisation: it shows a transaction of all organisations every row.
-- Locks: none. Index: those of the catalog.
SELECT class.oid::bigint AS table_oid,
       pg_catalog.row_security_active(class.oid) AND NOT (
           EXISTS (SELECT FROM pg_catalog.pg_policy AS policy WHERE policy.polrelid = class.oid)
           AND NOT EXISTS (
               SELECT
               FROM pg_catalog.pg_policy AS policy
               WHERE policy.polrelid = class.oid
                 AND NOT (policy.polname = 'forktex_org' AND policy.polpermissive
                          AND policy.polcmd = '*' AND policy.polroles = '{0}')
           )
           AND NOT EXISTS (
               SELECT
               FROM pg_catalog.pg_policy AS policy
               JOIN pg_catalog.pg_depend AS needs
                   ON needs.classid = 'pg_catalog.pg_policy'::regclass AND needs.objid = policy.oid
               JOIN pg_catalog.pg_attribute AS needed
                   ON needed.attrelid = needs.refobjid AND needed.attnum = needs.refobjsubid
               WHERE policy.polrelid = class.oid AND needs.refclassid = 'pg_catalog.pg_class'::regclass
                 AND NOT needed.attnotnull
           )
       ) AS hides_rows,
       class.relkind IN ('r', 'p') AS is_table,
       pg_catalog.format_type(value.atttypid, -1) AS value_type,
       pg_catalog.format_type(id.atttypid, -1) AS id_type,
       org.attname IS NOT NULL AS has_org,
       pg_catalog.format_type(source.atttypid, -1) AS source_type,
       coalesce(id.attnotnull AND EXISTS (
           SELECT FROM pg_catalog.pg_index AS unique_index
           WHERE unique_index.indrelid = class.oid
             AND unique_index.indisunique AND unique_index.indisvalid AND unique_index.indimmediate
             AND unique_index.indpred IS NULL
             AND unique_index.indnkeyatts = 1 AND unique_index.indkey[0] = id.attnum
       ), false) AS id_is_key
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS value
    ON value.attrelid = class.oid AND value.attname = $3 AND value.attnum > 0 AND NOT value.attisdropped
LEFT JOIN pg_catalog.pg_attribute AS id
    ON id.attrelid = class.oid AND id.attname = $4 AND id.attnum > 0 AND NOT id.attisdropped
LEFT JOIN pg_catalog.pg_attribute AS org
    ON org.attrelid = class.oid AND org.attname = $5 AND org.attnum > 0 AND NOT org.attisdropped
LEFT JOIN pg_catalog.pg_attribute AS source
    ON source.attrelid = class.oid AND source.attname = $6 AND source.attnum > 0 AND NOT source.attisdropped
WHERE namespace.nspname = $1 AND class.relname = $2
