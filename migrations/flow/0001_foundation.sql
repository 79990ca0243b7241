-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Runs, their journals, and who holds them.
--
-- A run has one row in `instance` for as long as it is kept, and one in `active` for as long as it
-- lives. What a step changes is one appended row of `journal`; neither of the other two rows is
-- written for it. No foreign keys: the rows are written together by single statements, and a key
-- would lock and check a second row at every start.

-- What each deployed workflow looked like when a process first brought it.
CREATE TABLE forktex_flow.definition (
    definition_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace        text        NOT NULL,
    workflow_name    text        NOT NULL,
    workflow_version integer     NOT NULL CHECK (workflow_version > 0),
    topology_hash    bytea       NOT NULL CHECK (length(topology_hash) = 32),
    topology         text[]      NOT NULL,
    state_hash       bytea       NOT NULL CHECK (length(state_hash) = 32),
    -- The names of the nodes that run together, by the number of the stage that journals name.
    stages           jsonb       NOT NULL CHECK (jsonb_typeof(stages) = 'array'),
    created_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workflow_name, workflow_version, namespace)
);

-- One row per incarnation of a worker. A heartbeat writes this row, however many runs it holds.
CREATE TABLE forktex_flow.worker (
    worker_id   uuid        PRIMARY KEY,
    worker_name text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL,
    -- What it can run.
    definition_ids bigint[] NOT NULL,
    -- When it was stopped, or judged dead. It never holds a lease again.
    retired_at  timestamptz
) WITH (fillfactor = 50);

CREATE INDEX worker_by_lease ON forktex_flow.worker (lease_until);

-- At most one row: the worker that leads.
CREATE TABLE forktex_flow.leader (
    singleton   boolean     PRIMARY KEY DEFAULT true CHECK (singleton),
    worker_id   uuid        NOT NULL,
    backend_pid integer     NOT NULL,
    renewed_at  timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE forktex_flow.instance (
    instance_id      uuid        PRIMARY KEY,
    definition_id    bigint      NOT NULL,
    namespace        text        NOT NULL,
    workflow_name    text        NOT NULL,
    workflow_version integer     NOT NULL,
    status           text        NOT NULL
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    triggered_by     text        NOT NULL,
    parent_id        uuid,
    retry_of         uuid,
    idempotency_key  text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    finished_at      timestamptz,
    input            jsonb       NOT NULL CHECK (jsonb_typeof(input) = 'object'),
    metadata         jsonb       NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    -- json, not jsonb: a message may hold a NUL, which jsonb refuses.
    failure          json,
    cancel_reason    text,
    CHECK ((status IN ('completed', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CHECK (status <> 'pending' OR started_at IS NULL),
    CHECK (status NOT IN ('running', 'completed', 'failed') OR started_at IS NOT NULL),
    CHECK ((status = 'failed') = (failure IS NOT NULL)),
    CHECK ((status = 'cancelled') = (cancel_reason IS NOT NULL))
);

CREATE UNIQUE INDEX instance_by_idempotency_key
    ON forktex_flow.instance (namespace, workflow_name, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- The runs that have not ended. Exactly one of three: owned by a worker, ready to be claimed, or
-- waiting for something.
CREATE TABLE forktex_flow.active (
    instance_id         uuid     PRIMARY KEY,
    definition_id       bigint   NOT NULL,
    priority            smallint NOT NULL DEFAULT 0,
    -- New at every claim and at every loss; each write of an owner names the one it holds.
    epoch               bigint   NOT NULL DEFAULT 0,
    worker_id           uuid,
    ready_at            timestamptz,
    -- What a run waits for that is neither owned nor ready, and the time that wakes it in any case.
    waits_on            text
        CHECK (waits_on IN ('retry', 'timer', 'signal', 'child', 'turn', 'worker', 'reader')),
    wake_at             timestamptz,
    -- The names of the signals that wake it.
    waiting_signals     text[],
    -- How many endings of its children wake it.
    waiting_children    integer,
    -- Whether one child that did not complete is enough to wake it.
    fails_fast          boolean  NOT NULL DEFAULT false,
    -- Where it is, as of when it last began to wait.
    current_nodes       text[],
    -- When it fails if it lives then.
    deadline_at         timestamptz,
    -- Why the run is to end as cancelled once what it did is undone.
    undo_reason         text,
    -- A paused run is not claimed, whatever it waits for.
    paused_at           timestamptz,
    -- The run that spawned it, and the call of it that did.
    parent_id           uuid,
    sibling_group       text,
    -- How often in a row a worker died that held it; above 0 it is a suspect, and runs alone.
    losses              smallint NOT NULL DEFAULT 0,
    alone               boolean  NOT NULL DEFAULT false,
    -- Losses while alone that no journal entry accounts for yet.
    lost_attempts       smallint NOT NULL DEFAULT 0,
    cancel_requested_at timestamptz,
    cancel_deadline     timestamptz,
    cancel_reason       text,
    CHECK (num_nonnulls(worker_id, ready_at, waits_on) = 1),
    CHECK (waits_on IS NOT NULL OR num_nonnulls(wake_at, waiting_signals, waiting_children) = 0),
    CHECK (waits_on NOT IN ('retry', 'timer', 'worker', 'reader') OR wake_at IS NOT NULL),
    CHECK ((waits_on = 'child') = (waiting_children IS NOT NULL) OR waits_on IS NULL),
    CHECK ((parent_id IS NULL) = (sibling_group IS NULL)),
    CHECK (NOT alone OR worker_id IS NOT NULL),
    CHECK (num_nonnulls(cancel_requested_at, cancel_deadline, cancel_reason) IN (0, 3)),
    CHECK (cancel_requested_at IS NULL OR worker_id IS NOT NULL)
) WITH (
    fillfactor = 70,
    -- Rows come and go at the rate of the runs: vacuum by count, and without pauses.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX active_ready ON forktex_flow.active (definition_id, priority DESC, ready_at)
    WHERE ready_at IS NOT NULL AND losses = 0 AND paused_at IS NULL;
CREATE INDEX active_suspect ON forktex_flow.active (definition_id, ready_at)
    WHERE ready_at IS NOT NULL AND losses > 0 AND paused_at IS NULL;
CREATE INDEX active_child ON forktex_flow.active (parent_id, sibling_group, instance_id)
    WHERE parent_id IS NOT NULL;
CREATE INDEX active_asleep ON forktex_flow.active (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX active_by_worker ON forktex_flow.active (worker_id) WHERE worker_id IS NOT NULL;
CREATE INDEX active_cancelling ON forktex_flow.active (worker_id, cancel_deadline)
    WHERE cancel_deadline IS NOT NULL;

-- Append-only. The checkpoint of a node, its change of the state, and the event are one row.
CREATE TABLE forktex_flow.journal (
    instance_id uuid        NOT NULL,
    sequence    bigint      NOT NULL CHECK (sequence > 0),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    elapsed_us  bigint      NOT NULL CHECK (elapsed_us >= 0),
    superstep   integer     NOT NULL,
    visit       integer     NOT NULL,
    attempt     integer     NOT NULL,
    -- 1 node completed, 2 node skipped, 3 attempt failed, 4 resolved,
    -- 5 run completed, 6 run failed, 7 run cancelled, 8 routed, 9 signalled, 10 timer fired,
    -- 11 called, 12 signal refused, 13 compensation began, 14 compensated, 15 compensation failed
    kind        smallint    NOT NULL CHECK (kind BETWEEN 1 AND 15),
    member      smallint    NOT NULL,
    -- The stage that the run is in after this; -1 where it is in none.
    stage       integer     NOT NULL,
    node        text        NOT NULL,
    -- json, not jsonb: kept as written, and only ever read whole.
    payload     json,
    PRIMARY KEY (instance_id, sequence)
);
