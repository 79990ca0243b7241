-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Keeps the first key of organisation $1; of two that come at once, one. Locks: its row.
-- Index: org_key_pkey.
INSERT INTO forktex_vault.org_key (org_id, wrapped)
VALUES ($1, $2)
ON CONFLICT (org_id) DO NOTHING
