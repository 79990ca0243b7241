-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Drops the key of organisation $1 and leaves a mark, also where there was no key yet. Locks: its row.
-- Index: org_key_pkey.
INSERT INTO forktex_vault.org_key AS kept (org_id, wrapped, shredded_at)
VALUES ($1, NULL, now())
ON CONFLICT (org_id) DO UPDATE
SET wrapped = NULL, shredded_at = coalesce(kept.shredded_at, now())
