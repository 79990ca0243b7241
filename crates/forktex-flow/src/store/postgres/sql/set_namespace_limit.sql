-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Sets what a namespace may use. Locks: its row. Index: namespace_limit_pkey.
INSERT INTO forktex_flow.namespace_limit (
    namespace, max_active_runs, starts_per_minute, max_definitions, revision
)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (namespace) DO UPDATE
SET max_active_runs = excluded.max_active_runs, starts_per_minute = excluded.starts_per_minute,
    max_definitions = excluded.max_definitions, revision = excluded.revision
