-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The namespaces that have limits, and the last revision. Locks: none. Index: none, they are short
-- tables.
SELECT runtime_revision.revision,
       ARRAY(SELECT namespace FROM forktex_flow.namespace_limit) AS namespaces
FROM forktex_flow.runtime_revision
