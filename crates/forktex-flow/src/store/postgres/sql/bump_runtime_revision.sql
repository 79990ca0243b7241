-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Takes the next revision; whoever changes a runtime definition or a limit does so first.
-- Locks: the one row, until the transaction ends, so that revisions commit in their order. Index: none.
UPDATE forktex_flow.runtime_revision SET revision = revision + 1 RETURNING revision
