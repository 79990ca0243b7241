// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The statements of builds, each for texts and for numbers. Every key is bound, so that one text serves all
//! fields.

/// A batch of rows with what the field has in each: `$1` the tenant, `$2` the field, `$3` the register,
/// `$4` the row behind which it begins, `$5` its size, `$6` the length of a text that is too long, `$7`
/// what JSON calls the values. A cell of another form is none: a write would read it so too.
macro_rules! batch {
    ($value:literal) => {
        concat!(
            "
    WITH cell AS (
            SELECT id, archived_at,
                CASE WHEN jsonb_typeof(cells -> $2::bigint::text) = $7::text
                    THEN cells ->> $2::bigint::text END AS text
            FROM forktex_data.row
            WHERE register_key = $3 AND tenant_id = $1 AND id > $4
            ORDER BY id
            LIMIT $5
            FOR SHARE),
        batch AS (SELECT id, archived_at, ",
            $value,
            " AS value, char_length(text) >= $6::int AS is_too_long FROM cell),"
        )
    };
}

macro_rules! outcome {
    () => {
        "
    SELECT count(*) AS rows, count(*) FILTER (WHERE is_too_long) AS too_long,
        (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last
    FROM batch"
    };
}

macro_rules! index_batch {
    ($table:literal, $value:literal) => {
        concat!(
            batch!($value),
            "
        written AS (
            INSERT INTO forktex_data.",
            $table,
            " (field_key, value, row_id, tenant_id)
            SELECT $2, value, id, $1 FROM batch WHERE is_too_long IS NOT TRUE
            ON CONFLICT DO NOTHING)",
            outcome!()
        )
    };
}

pub(super) const INDEX_TEXT: &str = index_batch!("value_text", "text");
pub(super) const INDEX_NUMBER: &str = index_batch!("value_number", "text::numeric");

/// Values in one order, so that two builders cannot wait for each other.
macro_rules! unique_batch {
    ($value:literal) => {
        concat!(
            batch!($value),
            "
        written AS (
            INSERT INTO forktex_data.unique_value (field_key, value, row_id, tenant_id)
            SELECT $2, value, id, $1 FROM batch
            WHERE archived_at IS NULL AND value IS NOT NULL AND is_too_long IS NOT TRUE
            ORDER BY value
            ON CONFLICT DO NOTHING)",
            outcome!()
        )
    };
}

pub(super) const UNIQUE_TEXT: &str = unique_batch!("text");
pub(super) const UNIQUE_NUMBER: &str = unique_batch!("trim_scale(text::numeric)::text");

/// The rows of a batch whose value another row has taken. A statement of its own: it must see the entries
/// of writers that the batch has waited for. Each value is looked up by itself, since the planner, who does
/// not know the new table yet, would join it as a whole. `$4` and `$5` are the ends of the batch.
macro_rules! shut_out {
    ($value:literal) => {
        concat!(
            "
    SELECT count(*) FROM (
        SELECT id, ",
            $value,
            " AS value FROM (
            SELECT id, CASE WHEN jsonb_typeof(cells -> $2::bigint::text) = $6::text
                THEN cells ->> $2::bigint::text END AS text
            FROM forktex_data.row
            WHERE register_key = $3 AND tenant_id = $1 AND id > $4 AND id <= $5
                AND archived_at IS NULL) AS cell) AS held
    WHERE value IS NOT NULL AND held.id IS DISTINCT FROM (
        SELECT u.row_id FROM forktex_data.unique_value u
        WHERE u.field_key = $2 AND u.value = held.value)"
        )
    };
}

pub(super) const SHUT_OUT_TEXT: &str = shut_out!("text");
pub(super) const SHUT_OUT_NUMBER: &str = shut_out!("trim_scale(text::numeric)::text");

/// How many values stand in more than one row. A number is the same with and without trailing zeros.
macro_rules! duplicates {
    ($value:literal) => {
        concat!(
            "
    SELECT count(*) FROM (
        SELECT ",
            $value,
            " AS value FROM (
            SELECT CASE WHEN jsonb_typeof(cells -> $2::bigint::text) = $4::text
                THEN cells ->> $2::bigint::text END AS text
            FROM forktex_data.row
            WHERE register_key = $3 AND tenant_id = $1 AND archived_at IS NULL) AS cell
        GROUP BY 1
        HAVING count(*) > 1) AS held
    WHERE value IS NOT NULL"
        )
    };
}

pub(super) const DUPLICATES_TEXT: &str = duplicates!("text");
pub(super) const DUPLICATES_NUMBER: &str = duplicates!("text::numeric");
