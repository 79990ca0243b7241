-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Removes a limit on how many runs may be held at once. Locks: its row. Index: running_limit_pkey.
DELETE FROM forktex_flow.running_limit WHERE namespace = $1 AND workflow_name = $2
