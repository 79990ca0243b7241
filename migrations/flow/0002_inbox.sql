-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What others tell a run: signals, the ends of its children, and the wish of its parent that it end.
--
-- Append-only for those who tell: they never lock the run. Whoever claims the run takes what is here
-- under the run's lock.
CREATE TABLE forktex_flow.inbox (
    instance_id     uuid        NOT NULL,
    message_id      bigint      GENERATED ALWAYS AS IDENTITY,
    -- 1 a signal, 2 a child has ended, 3 the run is to end as its parent wishes
    kind            smallint    NOT NULL CHECK (kind BETWEEN 1 AND 3),
    -- The signal, or the group of siblings whose member has ended, or why the run is to end.
    name            text        NOT NULL,
    -- Whether the child that has ended did not complete.
    is_failure      boolean     NOT NULL DEFAULT false,
    idempotency_key text,
    -- json, not jsonb: kept as written, and only ever read whole.
    payload         json,
    sent_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Whether the run's next owner is certain to see it.
    is_delivered    boolean     NOT NULL DEFAULT false,
    -- Whether the run has taken it.
    is_taken        boolean     NOT NULL DEFAULT false,
    -- Whether the sibling whose turn a child's end made was told.
    is_passed_on    boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (instance_id, message_id),
    CHECK (kind = 1 OR (idempotency_key IS NULL AND NOT is_taken)),
    CHECK (kind = 2 OR NOT is_passed_on)
);

CREATE UNIQUE INDEX inbox_by_idempotency_key
    ON forktex_flow.inbox (instance_id, name, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX inbox_undelivered ON forktex_flow.inbox (instance_id) WHERE NOT is_delivered;
CREATE INDEX inbox_signals ON forktex_flow.inbox (instance_id, message_id)
    WHERE kind = 1 AND NOT is_taken;
CREATE INDEX inbox_turns ON forktex_flow.inbox (message_id) WHERE kind = 2 AND NOT is_passed_on;
CREATE INDEX inbox_cancellations ON forktex_flow.inbox (message_id) WHERE kind = 3;
