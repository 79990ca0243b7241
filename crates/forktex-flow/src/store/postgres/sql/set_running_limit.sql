-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Sets how many runs may be held at once. Locks: its row. Index: running_limit_pkey.
INSERT INTO forktex_flow.running_limit (namespace, workflow_name, max_running)
VALUES ($1, $2, $3)
ON CONFLICT (namespace, workflow_name) DO UPDATE SET max_running = excluded.max_running
