-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Claims that go round the namespaces, and limits on how many runs are held at once.

-- Led by what a claim goes round, so that the namespaces and versions that have ready runs are found
-- one lookup each. The platform's own namespace is '' here. Suspects, of which `losses` is above 0,
-- are apart from the others.
DROP INDEX forktex_flow.active_ready;
DROP INDEX forktex_flow.active_suspect;
CREATE INDEX active_ready ON forktex_flow.active (
    (least(losses, 1)), (coalesce(namespace, '') COLLATE "C"), definition_id, priority DESC, ready_at
) WHERE ready_at IS NOT NULL AND paused_at IS NULL;

-- How many runs may be held by workers at once: of a namespace, of a workflow, of a workflow in a
-- namespace, or of all; '' is any. Nothing counts what is held but the rows of `active`.
CREATE TABLE forktex_flow.running_limit (
    namespace     text COLLATE "C" NOT NULL,
    workflow_name text COLLATE "C" NOT NULL,
    max_running   integer NOT NULL CHECK (max_running >= 0),
    PRIMARY KEY (namespace, workflow_name)
);
