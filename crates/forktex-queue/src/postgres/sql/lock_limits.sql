-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Lets only this transaction look at and change what counts against these limits. The next statement
-- sees what the one before it has done.
-- Locks: an advisory one for each key, in one order, until the transaction ends. Index: none.
SELECT pg_advisory_xact_lock(lock.number),
       set_config('idle_in_transaction_session_timeout', '5s', true)
FROM (
    SELECT DISTINCT hashtextextended('forktex_queue.limit' || chr(1) || queue || chr(1) || limit_key, 0)
        AS number
    FROM unnest($1::text[], $2::text[]) AS held (queue, limit_key)
    ORDER BY number
    OFFSET 0
) AS lock
