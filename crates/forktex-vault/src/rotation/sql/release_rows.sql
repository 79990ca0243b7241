-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Drops the notes on rows that the pass begun at $3 did not find bad any more. Locks: those notes.
-- Index: quarantine_pkey.
DELETE FROM forktex_vault.quarantine
WHERE table_name = $1 AND column_name = $2 AND seen_at < $3
