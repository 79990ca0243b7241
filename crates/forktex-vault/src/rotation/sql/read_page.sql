-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Reads the rows that follow the last page, in the order of their ids, and ends the page after $2 rows,
-- after $4 rows that need work, or once those are $3 bytes long. One row comes back: what needs no work
-- is counted here and not sent, and the rest comes as arrays. $1 is the last id of the page before.
-- Locks: none. Index: the unique one of the id.
SELECT count(*) AS scanned,
       count(*) FILTER (WHERE page.is_current) AS already_current,
       (array_agg(page.id))[count(*)]::text AS last_id,
       coalesce(array_agg(page.id::text) FILTER (WHERE page.needs_work), '{}') AS row_ids,
       coalesce(array_agg(page.org::text) FILTER (WHERE page.needs_work), '{}') AS org_ids,
       coalesce(array_agg({as_bytes}) FILTER (WHERE page.needs_work), '{}') AS found
FROM (
    SELECT judged.id, judged.org, judged.value, judged.is_current, judged.needs_work,
           sum(judged.bytes) OVER so_far - judged.bytes AS bytes_before,
           count(*) FILTER (WHERE judged.needs_work) OVER so_far AS rows_with_work
    FROM (
        SELECT following.id, following.org, following.value,
               following.value IS NOT NULL AND following.is_current AS is_current,
               following.value IS NOT NULL AND NOT following.is_current AS needs_work,
               CASE WHEN following.is_current THEN 0 ELSE coalesce(following.bytes, 0) END AS bytes
        FROM (
            SELECT {id} AS id, {org} AS org, {value} AS value, {bytes} AS bytes,
                   {is_current} AS is_current
            FROM {table}
            WHERE {is_after}
            ORDER BY {id}
            LIMIT $2
        ) AS following
    ) AS judged
    WINDOW so_far AS (ORDER BY judged.id ROWS UNBOUNDED PRECEDING)
) AS page
WHERE page.bytes_before < $3 AND page.rows_with_work <= $4
