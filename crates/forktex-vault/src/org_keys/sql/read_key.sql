-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The wrapped key of organisation $1, and whether it was shredded. Locks: none. Index: org_key_pkey.
SELECT wrapped, shredded_at IS NOT NULL AS is_shredded
FROM forktex_vault.org_key
WHERE org_id = $1
