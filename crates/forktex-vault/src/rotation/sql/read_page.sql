-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Reads the rows that follow the id $1 in the order of their ids, and ends the page after $2 rows, or once
-- those that need work are $3 bytes long. One row comes back: what needs no work is counted here and not
-- sent, and the rest comes as arrays. Locks: none. Index: the unique one of the id.
SELECT count(*) AS scanned,
       count(*) FILTER (WHERE page.is_current) AS already_current,
       (array_agg(page.id))[count(*)]::text AS last_id,
       coalesce(array_agg(page.id::text) FILTER (WHERE NOT page.is_current), '{}') AS row_ids,
       coalesce(array_agg(page.org::text) FILTER (WHERE NOT page.is_current), '{}') AS org_ids,
       coalesce(array_agg(page.plain) FILTER (WHERE NOT page.is_current), '{}') AS plain,
       coalesce(array_agg({as_bytes}) FILTER (WHERE NOT page.is_current), '{}') AS found
FROM (
    SELECT following.id, following.org, following.plain, following.value, following.is_current,
           sum(following.bytes) OVER (ORDER BY following.id ROWS UNBOUNDED PRECEDING) - following.bytes
               AS bytes_before
    FROM (
        SELECT {id} AS id, {org} AS org, {plain} AS plain, {value} AS value,
               CASE WHEN {value} IS NOT NULL THEN {is_current} END AS is_current,
               CASE WHEN {value} IS NULL OR {is_current} THEN 0 ELSE {bytes} END AS bytes
        FROM {table}
        WHERE {is_after}
        ORDER BY {id}
        LIMIT $2
    ) AS following
) AS page
WHERE page.bytes_before < $3
