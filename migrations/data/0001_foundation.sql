-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Registers that tenants define, their rows, and the typed side tables that index them.
--
-- A tenant never causes DDL: all rows stand in one table, and an index is entries in a side table, led by
-- the key of its field. Keys of registers, fields and relationships are never reused. Every table carries
-- the tenant, and row-level security holds it apart.

CREATE TABLE forktex_data.register (
    key           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id     uuid        NOT NULL,
    name          text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    label         text,
    description   text,
    keeps_history boolean     NOT NULL DEFAULT false,
    -- Counts the definitions. 0 only inside the transaction that makes the register. Writers lock the row
    -- FOR KEY SHARE and compare it; who changes the definition locks it FOR UPDATE.
    version       bigint      NOT NULL DEFAULT 1 CHECK (version >= 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name)
);

CREATE TABLE forktex_data.field (
    key          bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    register_key bigint  NOT NULL REFERENCES forktex_data.register (key),
    tenant_id    uuid    NOT NULL,
    name         text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    position     integer NOT NULL,
    definition   jsonb   NOT NULL CHECK (jsonb_typeof(definition) = 'object'),
    -- What its values are, worked out from all definitions of the tenant when one of them changes.
    value_kind   text    NOT NULL CHECK (value_kind IN
        ('text', 'integer', 'decimal', 'boolean', 'date', 'datetime', 'uuid', 'json')),
    index_state  text    NOT NULL DEFAULT 'none' CHECK (index_state IN ('none', 'building', 'ready')),
    unique_state text    NOT NULL DEFAULT 'none' CHECK (unique_state IN ('none', 'building', 'ready')),
    search_state text    NOT NULL DEFAULT 'none' CHECK (search_state IN ('none', 'building', 'ready')),
    -- The last row that each build has seen. A build that was interrupted goes on behind it.
    index_after  uuid CHECK (index_after IS NULL OR index_state = 'building'),
    unique_after uuid CHECK (unique_after IS NULL OR unique_state = 'building'),
    search_after uuid CHECK (search_after IS NULL OR search_state = 'building'),
    UNIQUE (register_key, name)
);

CREATE INDEX field_building ON forktex_data.field (tenant_id, key)
    WHERE index_state = 'building' OR unique_state = 'building' OR search_state = 'building';

CREATE TABLE forktex_data.relationship (
    key                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id           uuid   NOT NULL,
    source_register_key bigint NOT NULL REFERENCES forktex_data.register (key),
    target_register_key bigint NOT NULL REFERENCES forktex_data.register (key),
    name                text COLLATE "C" NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,62}$'),
    inverse_name        text COLLATE "C" NOT NULL CHECK (inverse_name ~ '^[a-z][a-z0-9_]{0,62}$'),
    -- Seen from the source: `many_to_one` lets each source have one target at most.
    cardinality         text   NOT NULL
        CHECK (cardinality IN ('one_to_one', 'many_to_one', 'many_to_many')),
    on_delete           text   NOT NULL CHECK (on_delete IN ('restrict', 'cascade', 'set_null')),
    UNIQUE (source_register_key, name),
    UNIQUE (target_register_key, inverse_name)
);

-- Each definition that a register has had.
CREATE TABLE forktex_data.register_version (
    register_key bigint      NOT NULL REFERENCES forktex_data.register (key),
    version      bigint      NOT NULL CHECK (version > 0),
    tenant_id    uuid        NOT NULL,
    schema       jsonb       NOT NULL CHECK (jsonb_typeof(schema) = 'object'),
    changed_by   uuid,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (register_key, version)
);

-- The rows of all registers. Cells are keyed by the key of their field, as text. A key that is missing is
-- a cell that was never filled, JSON null one that was emptied on purpose; a value of a JSON field stands
-- in an array of one, so that its null is neither. References stand in `link`. There is no foreign key to
-- `register`: the writer's lock on it is the guard, and a key would check it for every row.
CREATE TABLE forktex_data.row (
    register_key bigint      NOT NULL,
    -- A UUIDv7; its time is when the row was created.
    id           uuid        NOT NULL,
    tenant_id    uuid        NOT NULL,
    cells        jsonb       NOT NULL CHECK (jsonb_typeof(cells) = 'object'),
    version      bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    external_ref text COLLATE "C",
    updated_at   timestamptz NOT NULL DEFAULT now(),
    archived_at  timestamptz,
    PRIMARY KEY (register_key, id)
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX row_external_ref ON forktex_data.row (register_key, external_ref)
    WHERE external_ref IS NOT NULL;

-- Which rows are related. The two flags repeat the cardinality, so that partial unique indexes hold it.
CREATE TABLE forktex_data.link (
    relationship_key    bigint  NOT NULL,
    source_register_key bigint  NOT NULL,
    source_id           uuid    NOT NULL,
    target_register_key bigint  NOT NULL,
    target_id           uuid    NOT NULL,
    tenant_id           uuid    NOT NULL,
    one_target          boolean NOT NULL,
    one_source          boolean NOT NULL,
    PRIMARY KEY (relationship_key, source_id, target_id),
    FOREIGN KEY (source_register_key, source_id) REFERENCES forktex_data.row (register_key, id),
    FOREIGN KEY (target_register_key, target_id) REFERENCES forktex_data.row (register_key, id)
);

CREATE UNIQUE INDEX link_one_target ON forktex_data.link (relationship_key, source_id) WHERE one_target;
CREATE UNIQUE INDEX link_one_source ON forktex_data.link (relationship_key, target_id) WHERE one_source;
CREATE INDEX link_by_target ON forktex_data.link (relationship_key, target_id, source_id);
-- For the foreign keys.
CREATE INDEX link_source ON forktex_data.link (source_register_key, source_id);
CREATE INDEX link_target ON forktex_data.link (target_register_key, target_id);

-- The indexes on all values that are no numbers: one entry for each row and indexed field, with NULL where
-- the cell is empty, so that one scan serves a comparison and an order alike.
CREATE TABLE forktex_data.value_text (
    field_key bigint NOT NULL,
    value     text COLLATE "C",
    row_id    uuid   NOT NULL,
    tenant_id uuid   NOT NULL
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX value_text_entry ON forktex_data.value_text (field_key, value, row_id)
    INCLUDE (tenant_id) NULLS NOT DISTINCT;

-- A number as text that sorts by code point as the number does. Under row-level security the server goes
-- by an index only with operators that are leakproof; those of text are, those of numeric are not.
-- A sign, the count of the digits before the point, the digits; of a negative number the complement of
-- each digit, and an end that sorts behind any digit.
-- It is one expression, and not strict, so that the server puts it in place of the call.
CREATE FUNCTION forktex_data.number_key(number numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        SELECT CASE
            WHEN number < 0 THEN '0' || translate(
                lpad(length(split_part(trim_scale(-number)::text, '.', 1))::text, 2, '0')
                    || replace(trim_scale(-number)::text, '.', ''),
                '0123456789', '9876543210') || '~'
            ELSE '1' || lpad(length(split_part(trim_scale(number)::text, '.', 1))::text, 2, '0')
                || replace(trim_scale(number)::text, '.', '')
        END
    $$;

-- The indexes on integers and decimals. Two digits count those before the point.
CREATE TABLE forktex_data.value_number (
    field_key bigint  NOT NULL,
    value     numeric CHECK (value > -1e99 AND value < 1e99),
    row_id    uuid    NOT NULL,
    tenant_id uuid    NOT NULL,
    sort_key  text COLLATE "C" GENERATED ALWAYS AS (forktex_data.number_key(value)) STORED
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX value_number_entry ON forktex_data.value_number (field_key, sort_key, row_id)
    INCLUDE (tenant_id) NULLS NOT DISTINCT;

-- The values of unique fields, of rows that are not archived; numbers without trailing zeros.
CREATE TABLE forktex_data.unique_value (
    field_key bigint NOT NULL,
    value     text COLLATE "C" NOT NULL,
    row_id    uuid   NOT NULL,
    tenant_id uuid   NOT NULL,
    PRIMARY KEY (field_key, value)
);

-- The words of the searchable fields of each row.
CREATE TABLE forktex_data.search_word (
    register_key bigint NOT NULL,
    word         text COLLATE "C" NOT NULL,
    row_id       uuid   NOT NULL,
    tenant_id    uuid   NOT NULL,
    PRIMARY KEY (register_key, word, row_id)
);

CREATE INDEX search_word_by_row ON forktex_data.search_word (register_key, row_id);

-- The words that a register has or has had, by the pieces of three letters in them. Not unique: two
-- writers who bring the same word do not wait for each other, and a reader takes either.
CREATE TABLE forktex_data.search_trigram (
    register_key bigint NOT NULL,
    trigram      text COLLATE "C" NOT NULL,
    word         text COLLATE "C" NOT NULL,
    tenant_id    uuid   NOT NULL
);

CREATE INDEX search_trigram_entry ON forktex_data.search_trigram (register_key, trigram, word);

-- What became of the rows of a register that keeps its history: each row after the change, and one that
-- was deleted as it was before.
CREATE TABLE forktex_data.history (
    register_key bigint      NOT NULL,
    row_id       uuid        NOT NULL,
    version      bigint      NOT NULL,
    tenant_id    uuid        NOT NULL,
    action       text        NOT NULL,
    changed_by   uuid,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    cells        jsonb       NOT NULL,
    PRIMARY KEY (register_key, row_id, version)
);

-- The next number of each numbering field. It is raised in the writing transaction, so that a transaction
-- that is rolled back leaves no gap.
CREATE TABLE forktex_data.counter (
    field_key bigint PRIMARY KEY,
    tenant_id uuid   NOT NULL,
    next      bigint NOT NULL CHECK (next > 0)
) WITH (fillfactor = 50);

-- Computed fields that still must be brought up to date, in all rows behind one or in a list of them.
CREATE TABLE forktex_data.recompute (
    key          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    uuid        NOT NULL,
    register_key bigint      NOT NULL,
    field_key    bigint      NOT NULL,
    after_row    uuid,
    only_rows    uuid[],
    queued_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX recompute_by_field ON forktex_data.recompute (register_key, field_key);
CREATE INDEX recompute_by_tenant ON forktex_data.recompute (tenant_id, key);

-- Changes of the type of a field, and how far each is.
CREATE TABLE forktex_data.type_change (
    key             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id       uuid        NOT NULL,
    register_key    bigint      NOT NULL,
    field_key       bigint      NOT NULL,
    from_definition jsonb       NOT NULL,
    to_definition   jsonb       NOT NULL,
    state           text        NOT NULL CHECK (state IN ('backfilling', 'done', 'undone')),
    after_row       uuid,
    converted       bigint      NOT NULL DEFAULT 0 CHECK (converted >= 0),
    failed          bigint      NOT NULL DEFAULT 0 CHECK (failed >= 0),
    started_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz
);

CREATE INDEX type_change_by_field ON forktex_data.type_change (register_key, field_key, key);
CREATE INDEX type_change_running ON forktex_data.type_change (tenant_id, key)
    WHERE state = 'backfilling';

-- The cells as they were, so that the change can be undone.
CREATE TABLE forktex_data.type_change_cell (
    change_key bigint NOT NULL,
    row_id     uuid   NOT NULL,
    tenant_id  uuid   NOT NULL,
    cell       jsonb,
    PRIMARY KEY (change_key, row_id)
);

-- Lines of imports that could not be written.
CREATE TABLE forktex_data.quarantine (
    key          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    uuid        NOT NULL,
    register_key bigint      NOT NULL,
    import_id    uuid        NOT NULL,
    line         bigint      NOT NULL,
    content      text        NOT NULL,
    problems     jsonb       NOT NULL,
    kept_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX quarantine_by_import ON forktex_data.quarantine (register_key, import_id, line);

-- What is still to be taken out after a definition was changed: the entries of an index or of a unique
-- field that is one no more, the words of a field that is not searched any more, all that a dropped field
-- or register had. Nobody can reach it meanwhile.
CREATE TABLE forktex_data.removal (
    key          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id    uuid        NOT NULL,
    register_key bigint      NOT NULL,
    field_key    bigint,
    what         text        NOT NULL
        CHECK (what IN ('index', 'unique', 'search', 'field', 'register')),
    -- The last row that it has seen.
    after_row    uuid,
    queued_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((field_key IS NULL) = (what IN ('search', 'register')))
);

CREATE INDEX removal_by_tenant ON forktex_data.removal (tenant_id, key);

-- The server keeps tenants apart by itself. Without the setting no row is seen and none can be written; with
-- a star all are, for maintenance (`forktex_db::Transaction::unscoped`). The setting is read once in a statement.
-- The policy of `forktex_db::row_security` compares with a range, which the planner takes for one row in 200;
-- then it would sort what an index has in order. An equality or an unknown truth it takes for every other row.
DO $$
DECLARE
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'register', 'field', 'relationship', 'register_version', 'row', 'link', 'value_text',
        'value_number', 'unique_value', 'search_word', 'search_trigram', 'history', 'counter',
        'recompute', 'type_change', 'type_change_cell', 'quarantine', 'removal'
    ] LOOP
        EXECUTE format('ALTER TABLE forktex_data.%I ENABLE ROW LEVEL SECURITY', table_name);
        EXECUTE format('ALTER TABLE forktex_data.%I FORCE ROW LEVEL SECURITY', table_name);
        EXECUTE format($policy$
            CREATE POLICY forktex_org ON forktex_data.%I USING (
                tenant_id = (SELECT nullif(nullif(current_setting('forktex.org_id', true), ''), '*')::uuid)
                OR (SELECT current_setting('forktex.org_id', true) = '*')
            )
        $policy$, table_name);
    END LOOP;
END
$$;
