-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Reads the next rows of a pass in the order of their ids: at most $2, and at most $3 bytes beyond the
-- first row. What needs no work is counted on the server and not sent. $1 is the last id of the page
-- before. Locks: none. Index: the unique one of the id.
SELECT page.id::text AS row_id,
       page.org::text AS org_id,
       page.value IS NOT NULL AND {is_current} AS is_current,
       CASE WHEN page.value IS NULL OR {is_current} THEN NULL ELSE {as_bytes} END AS found
FROM (
    SELECT following.id, following.org, following.value, following.is_done,
           sum(following.bytes) OVER (ORDER BY following.id ROWS UNBOUNDED PRECEDING) - following.bytes
               AS bytes_before
    FROM (
        SELECT {id} AS id, {org} AS org, {value} AS value, {is_done} AS is_done,
               coalesce({bytes}, 0)::bigint AS bytes
        FROM {table}
        WHERE {is_after}
        ORDER BY {id}
        LIMIT $2
    ) AS following
) AS page
WHERE page.bytes_before < $3
ORDER BY page.id
