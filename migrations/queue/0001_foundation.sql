-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Jobs, the order in which they are taken, and who holds them.
--
-- A job has one row in `job` from when it is put in until it is done, and what most jobs go through never
-- writes to it: it is inserted once and deleted once. Beside it stands a narrow row in `ready` while
-- anybody may take the job; to claim it is to delete that row. Who holds what is one row of `lease` for
-- each batch that was claimed. No foreign keys: the rows are written together by single statements, and
-- a key would lock and check a second row for every job.

CREATE TABLE forktex_queue.job (
    job_id            uuid        PRIMARY KEY,
    enqueued_at       timestamptz NOT NULL,
    -- Where it stands in the order: when it is due, in microseconds since 1970, less its head start.
    score             bigint      NOT NULL,
    timeout_us        bigint      NOT NULL,
    -- When it is due or became due, where that is not when it was put in.
    due_at            timestamptz,
    -- Of a claim that was renewed: since when, and until when.
    started_at        timestamptz,
    lease_until       timestamptz,
    died_at           timestamptz,
    unique_for_us     bigint,
    rate_per_us       bigint,
    -- New whenever it leaves a holder otherwise than by its end: what a holder says names the one it was
    -- given. It is claimed at most once in each.
    generation        integer     NOT NULL DEFAULT 0,
    -- Those that have ended. The one of the holder is not among them.
    attempts          integer     NOT NULL DEFAULT 0,
    attempts_max      integer     NOT NULL,
    limit_concurrency integer,
    rate_count        integer,
    priority          smallint    NOT NULL,
    -- 0 ready, if it has a row in `ready`, and else running; 1 scheduled, 2 held, 3 dead.
    place             smallint    NOT NULL DEFAULT 0,
    -- 1 until it is started, 2 until it is done, 3 for a time, 4 forever.
    unique_mode       smallint,
    is_cancelling     boolean     NOT NULL DEFAULT false,
    -- Whether its rate has put it off before.
    is_deferred       boolean     NOT NULL DEFAULT false,
    queue             text COLLATE "C" NOT NULL,
    name              text COLLATE "C" NOT NULL,
    tenant            text COLLATE "C" NOT NULL,
    trace_parent      text,
    unique_key        text COLLATE "C",
    limit_key         text COLLATE "C",
    dead_reason       text,
    note              text,
    -- JSON as it was given; the server has no use for it.
    payload           bytea       NOT NULL,
    CHECK (CASE place
        WHEN 0 THEN died_at IS NULL
        WHEN 1 THEN due_at IS NOT NULL AND num_nonnulls(started_at, lease_until, died_at) = 0
        WHEN 2 THEN limit_key IS NOT NULL AND num_nonnulls(started_at, lease_until, died_at) = 0
        WHEN 3 THEN num_nonnulls(died_at, dead_reason) = 2 AND lease_until IS NULL
        ELSE false
    END)
) WITH (
    fillfactor = 90,
    -- Rows come and go at the rate of the jobs: vacuum by count, and without pauses.
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

-- None of these has an entry for a job that is put in to be done at once.
CREATE INDEX job_scheduled ON forktex_queue.job (queue, due_at) WHERE place = 1;
CREATE INDEX job_deferred ON forktex_queue.job (queue, limit_key) WHERE place = 1 AND is_deferred;
CREATE INDEX job_held ON forktex_queue.job (queue, limit_key, score) WHERE place = 2;
CREATE INDEX job_dead ON forktex_queue.job (queue, job_id) WHERE place = 3;
CREATE INDEX job_by_death ON forktex_queue.job (died_at) WHERE place = 3;

-- What may be taken.
CREATE TABLE forktex_queue.ready (
    score      bigint  NOT NULL,
    job_id     uuid    NOT NULL,
    -- A limit is to be looked at before it is taken.
    is_limited boolean NOT NULL,
    queue      text COLLATE "C" NOT NULL,
    tenant     text COLLATE "C" NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

CREATE INDEX ready_next ON forktex_queue.ready (queue, tenant, score);

-- Who was given jobs, which, and until when; a renewal adds a row. Whoever looks when that time is over
-- takes back those that are still in the generation that was given, and were not renewed.
CREATE TABLE forktex_queue.lease (
    lease_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    worker_id   uuid        NOT NULL,
    taken_at    timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    job_ids     uuid[]      NOT NULL,
    generations integer[]   NOT NULL,
    CHECK (cardinality(job_ids) = cardinality(generations))
) WITH (
    -- The arrays stay in the row: at most 256 jobs.
    toast_tuple_target = 8160,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off
);

CREATE INDEX lease_by_end ON forktex_queue.lease (until);

-- Keys that keep an equal job out.
CREATE TABLE forktex_queue.unique_lock (
    queue      text COLLATE "C" NOT NULL,
    unique_key text COLLATE "C" NOT NULL,
    job_id     uuid NOT NULL,
    -- Where it ends by time.
    until      timestamptz,
    PRIMARY KEY (queue, unique_key)
) WITH (fillfactor = 80);

CREATE INDEX unique_lock_by_end ON forktex_queue.unique_lock (until) WHERE until IS NOT NULL;

-- The jobs that run and have a limit: what a limit counts.
CREATE TABLE forktex_queue.limit_running (
    queue     text COLLATE "C" NOT NULL,
    limit_key text COLLATE "C" NOT NULL,
    job_id    uuid NOT NULL,
    PRIMARY KEY (queue, limit_key, job_id)
);

-- When jobs with a rate were started: at most as many for a key as its rate counts, and those whose time
-- is over until they are pruned.
CREATE TABLE forktex_queue.rate_start (
    queue      text COLLATE "C" NOT NULL,
    limit_key  text COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL,
    -- No rate asks for it any more.
    until      timestamptz NOT NULL
);

CREATE INDEX rate_start_of_key ON forktex_queue.rate_start (queue, limit_key, started_at);
CREATE INDEX rate_start_by_end ON forktex_queue.rate_start (until);

CREATE TABLE forktex_queue.paused_queue (
    queue     text COLLATE "C" PRIMARY KEY,
    paused_at timestamptz NOT NULL DEFAULT now()
);

-- The last tick of each schedule that was fired.
CREATE TABLE forktex_queue.schedule_tick (
    schedule text COLLATE "C" PRIMARY KEY,
    tick     timestamptz NOT NULL,
    fired_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- The planner never takes these for small tables: a plan that was made while they were, and is kept, reads
-- them whole once they have grown. So 256 pages of each are laid out, and no vacuum gives them back.
ALTER TABLE forktex_queue.job SET (fillfactor = 10);
INSERT INTO forktex_queue.job (
    job_id, enqueued_at, score, timeout_us, attempts_max, priority, queue, name, tenant, payload
)
SELECT gen_random_uuid(), now(), 0, 0, 0, 0, '', '', '', convert_to(repeat('x', 1500), 'UTF8')
FROM generate_series(1, 256);
DELETE FROM forktex_queue.job;
ALTER TABLE forktex_queue.job SET (fillfactor = 90);

ALTER TABLE forktex_queue.ready SET (fillfactor = 10);
INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
SELECT 0, gen_random_uuid(), false, '', repeat('x', 1500) FROM generate_series(1, 256);
DELETE FROM forktex_queue.ready;
ALTER TABLE forktex_queue.ready RESET (fillfactor);

ALTER TABLE forktex_queue.lease SET (fillfactor = 10);
INSERT INTO forktex_queue.lease (worker_id, taken_at, until, job_ids, generations)
SELECT gen_random_uuid(), now(), now(), array_fill(gen_random_uuid(), ARRAY[80]),
       array_fill(0, ARRAY[80])
FROM generate_series(1, 256);
DELETE FROM forktex_queue.lease;
ALTER TABLE forktex_queue.lease RESET (fillfactor);

ALTER TABLE forktex_queue.unique_lock SET (fillfactor = 10, vacuum_truncate = off);
INSERT INTO forktex_queue.unique_lock (queue, unique_key, job_id)
SELECT repeat('x', 1500), number::text, gen_random_uuid() FROM generate_series(1, 256) AS number;
DELETE FROM forktex_queue.unique_lock;
ALTER TABLE forktex_queue.unique_lock SET (fillfactor = 80);

ALTER TABLE forktex_queue.limit_running SET (fillfactor = 10, vacuum_truncate = off);
INSERT INTO forktex_queue.limit_running (queue, limit_key, job_id)
SELECT repeat('x', 1500), number::text, gen_random_uuid() FROM generate_series(1, 256) AS number;
DELETE FROM forktex_queue.limit_running;
ALTER TABLE forktex_queue.limit_running RESET (fillfactor);

ALTER TABLE forktex_queue.rate_start SET (fillfactor = 10, vacuum_truncate = off);
INSERT INTO forktex_queue.rate_start (queue, limit_key, started_at, until)
SELECT repeat('x', 1500), number::text, now(), now() FROM generate_series(1, 256) AS number;
DELETE FROM forktex_queue.rate_start;
ALTER TABLE forktex_queue.rate_start RESET (fillfactor);
