-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The tables of the bare loops: one narrow row a run, one appended row a step. Frozen: a change here
-- changes what the figures mean. Locks: new tables. Index: none yet.
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
CREATE TABLE bare.run (
    run_id     bigint PRIMARY KEY,
    sequence   bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE TABLE bare.journal (
    run_id      bigint NOT NULL,
    sequence    bigint NOT NULL,
    node        text NOT NULL,
    payload     json,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, sequence)
);
INSERT INTO bare.run (run_id) SELECT generate_series(1, 40000);
VACUUM ANALYZE bare.run;
