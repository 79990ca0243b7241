-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The schedules of workflows: when each fires next, and what it did last.

-- One row a workflow, whatever its version: the newest version that any process brought has it. A row
-- without a cron is kept, so that a process of an older version does not bring the old schedule back.
CREATE TABLE forktex_flow.schedule (
    workflow_name       text        NOT NULL,
    namespace           text        NOT NULL,
    workflow_version    integer     NOT NULL CHECK (workflow_version > 0),
    definition_id       bigint      NOT NULL,
    cron                text,
    timezone            text,
    overlap             text        NOT NULL CHECK (overlap IN ('allow', 'skip', 'queue')),
    catch_up            text        NOT NULL CHECK (catch_up IN ('one', 'all', 'none')),
    -- The operator's word, which no deployment changes.
    is_enabled          boolean     NOT NULL DEFAULT true,
    next_fire_at        timestamptz,
    -- A tick that waits for an earlier run to end.
    waiting_tick        timestamptz,
    last_fire_at        timestamptz,
    last_instance_id    uuid,
    -- Runs of this schedule that may still live, the newest 100 at most.
    living_instance_ids uuid[]      NOT NULL DEFAULT '{}',
    last_skipped_at     timestamptz,
    skipped_count       bigint      NOT NULL DEFAULT 0,
    last_error          text,
    PRIMARY KEY (workflow_name, namespace),
    CHECK ((cron IS NULL) = (timezone IS NULL)),
    CHECK (cron IS NOT NULL OR num_nonnulls(next_fire_at, waiting_tick) = 0)
);

CREATE INDEX schedule_due ON forktex_flow.schedule (definition_id, next_fire_at) WHERE is_enabled;
