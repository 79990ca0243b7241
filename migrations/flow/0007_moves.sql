-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Runs that move to another version of their workflow, and the shapes of states.

-- 16 migrated. NOT VALID, as a scan would hold up all that write, and the rows that are there were
-- held by a narrower rule.
ALTER TABLE forktex_flow.journal DROP CONSTRAINT journal_kind_check;
ALTER TABLE forktex_flow.journal
    ADD CONSTRAINT journal_kind_check CHECK (kind BETWEEN 1 AND 16) NOT VALID;

-- The fields of the state with their types and reducers, one line each, as they were when a process
-- first brought the definition; NULL where that was before this was kept.
ALTER TABLE forktex_flow.definition ADD COLUMN state_shape text[];
