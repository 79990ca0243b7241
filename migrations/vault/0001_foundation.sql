-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Where rotations stand, which rows they could not open, and the wrapped keys of organisations.
--
-- No row here holds a value of a rotated column, or a key in the clear.

-- The last rotation of each column, written in the transaction of each of its batches. What is not
-- finished goes on behind `position`.
CREATE TABLE forktex_vault.rotation (
    table_name      text        NOT NULL,
    column_name     text        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('rotate', 'seal_plaintext')),
    id_column       text        NOT NULL,
    from_keys       text[]      NOT NULL,
    to_key          text        NOT NULL CHECK (to_key ~ '^[0-9a-f]{16}$'),
    scheme          text        NOT NULL CHECK (scheme IN ('v2', 'fernet')),
    -- A new number each time that a process takes it up. Writes of an earlier one are refused.
    run             bigint      NOT NULL DEFAULT 1 CHECK (run > 0),
    pass            integer     NOT NULL DEFAULT 1 CHECK (pass > 0),
    -- The id of the last row that this pass has seen, as text.
    position        text,
    pass_started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Rows of this pass that were not under the new key. A pass that ends with none is the proof.
    found_in_pass   bigint      NOT NULL DEFAULT 0 CHECK (found_in_pass >= 0),
    scanned         bigint      NOT NULL DEFAULT 0 CHECK (scanned >= 0),
    rotated         bigint      NOT NULL DEFAULT 0 CHECK (rotated >= 0),
    already_current bigint      NOT NULL DEFAULT 0 CHECK (already_current >= 0),
    lost_swaps      bigint      NOT NULL DEFAULT 0 CHECK (lost_swaps >= 0),
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at     timestamptz,
    PRIMARY KEY (table_name, column_name)
);

-- Rows that could not be opened. A row leaves when a whole pass does not meet it any more.
CREATE TABLE forktex_vault.quarantine (
    table_name  text        NOT NULL,
    column_name text        NOT NULL,
    row_id      text        NOT NULL,
    error_kind  text        NOT NULL CHECK (error_kind ~ '^[a-z_]+$'),
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_name, column_name, row_id)
);

-- The key of each organisation, sealed under the key of the service. A shredded one stays as a mark,
-- so that no second key is ever made in its name.
CREATE TABLE forktex_vault.org_key (
    org_id      uuid        PRIMARY KEY,
    wrapped     bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    shredded_at timestamptz,
    CHECK ((wrapped IS NULL) = (shredded_at IS NOT NULL))
);
