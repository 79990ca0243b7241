-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Looks for work in the $2 rows that follow the id $1, and reads no value whole: how many they are, how
-- many are done, whether one is left to do, and the last id. Locks: none.
-- Index: the unique one of the id.
SELECT count(*) AS scanned,
       count(*) FILTER (WHERE page.is_current) AS already_current,
       coalesce(bool_or(NOT page.is_current), false) AS has_work,
       (array_agg(page.id))[count(*)]::text AS last_id
FROM (
    SELECT {id} AS id, CASE WHEN {value} IS NOT NULL THEN {is_current} END AS is_current
    FROM {table}
    WHERE {is_after}
    ORDER BY {id}
    LIMIT $2
) AS page
