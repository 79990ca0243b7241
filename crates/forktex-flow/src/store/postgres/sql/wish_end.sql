-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Wishes that those of some children of a run end that live. Locks: none but the new rows.
-- Index: active_pkey.
INSERT INTO forktex_flow.inbox (instance_id, kind, name)
SELECT active.instance_id, 3, $3
FROM forktex_flow.active
WHERE active.instance_id = ANY ($2::uuid[]) AND active.parent_id = $1
