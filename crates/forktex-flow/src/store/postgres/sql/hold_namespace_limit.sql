-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What a namespace may use, locked so that starts count one after another.
-- Locks: its row. Index: namespace_limit_pkey.
SELECT max_active_runs, starts_per_minute
FROM forktex_flow.namespace_limit
WHERE namespace = $1
FOR UPDATE
