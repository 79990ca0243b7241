-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The namespaces that have limits. Locks: none. Index: none, it is a short table.
SELECT namespace FROM forktex_flow.namespace_limit
