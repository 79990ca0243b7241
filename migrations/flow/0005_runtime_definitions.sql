-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Workflows that tenants define, and what a tenant may use.

-- What was defined, with its row in `definition`. One that was removed stays, so that every process
-- hears of it.
CREATE TABLE forktex_flow.runtime_definition (
    definition_id    bigint      PRIMARY KEY,
    namespace        text        NOT NULL CHECK (namespace <> ''),
    workflow_name    text        NOT NULL,
    workflow_version integer     NOT NULL CHECK (workflow_version > 0),
    config           jsonb       NOT NULL CHECK (jsonb_typeof(config) = 'object'),
    revision         bigint      NOT NULL,
    is_removed       boolean     NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX runtime_definition_by_name
    ON forktex_flow.runtime_definition (namespace, workflow_name, workflow_version)
    WHERE NOT is_removed;
CREATE INDEX runtime_definition_by_revision ON forktex_flow.runtime_definition (revision);

-- What a namespace may use at most; NULL where it is not limited.
CREATE TABLE forktex_flow.namespace_limit (
    namespace         text    PRIMARY KEY CHECK (namespace <> ''),
    max_active_runs   bigint  CHECK (max_active_runs >= 0),
    starts_per_minute bigint  CHECK (starts_per_minute >= 0),
    max_definitions   bigint  CHECK (max_definitions >= 0),
    revision          bigint  NOT NULL
);

-- Grows with every change of the two tables, in the order of the commits.
CREATE TABLE forktex_flow.runtime_revision (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    revision  bigint  NOT NULL
) WITH (fillfactor = 50);

INSERT INTO forktex_flow.runtime_revision (revision) VALUES (0);

-- Whose run it is; NULL for the platform's own.
ALTER TABLE forktex_flow.active ADD COLUMN namespace text CHECK (namespace <> '');

CREATE INDEX active_by_namespace ON forktex_flow.active (namespace) WHERE namespace IS NOT NULL;
