// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The statements of the one write path. Each has the parts that its write needs, and no others.
//!
//! All parts of a statement see the rows as they were before it. So no part reads what another one has
//! written but through its `RETURNING`; and a unique value that moves from one row to another within a
//! statement is given only after the part that takes it away is through.
//!
//! Under row-level security, an index serves a condition only if nothing in it could show a value to a
//! stranger. That holds for plain equality of texts, numbers of eight bytes and UUIDs, not for numerics
//! and not for functions on a column: so numbers go by `sort_key`, made ready in a part of its own.

use forktex_db::sqlx::postgres::PgHasArrayType;
use forktex_db::sqlx::types::Json;
use forktex_db::sqlx::{Encode, Postgres, Type};
use uuid::Uuid;

use super::{CellRewrite, Guard, RowWrite, Target, history_references};
use crate::rows::cells::{Difference, StoredCells};
use crate::rows::entries::{Entries, IndexMoves, Moves};
use crate::rows::history::RowAction;
use crate::rows::lock::{self, StoredRow};
use crate::rows::statement::{Placeholder, Statement};

/// What every part needs.
struct Common {
    tenant: Placeholder,
    register: Placeholder,
    /// Holds for each part that puts something in: empty, or a comparison of versions.
    condition: Option<String>,
    /// What becomes of an index entry that is there already. A row that is new has none; of others an
    /// entry may have been left by a fault, and is as good as the one to be written.
    on_conflict: &'static str,
}

impl Common {
    fn bind(statement: &mut Statement, target: Target<'_>) -> Self {
        Self {
            tenant: statement.bind(target.tenant),
            register: statement.bind(target.register.key.0),
            condition: None,
            on_conflict: " ON CONFLICT DO NOTHING",
        }
    }

    /// A `WHERE` of what is given and of the comparison of versions; empty where there is neither.
    fn filter(&self, also: Option<&str>) -> String {
        let conditions: Vec<&str> = self.condition.as_deref().into_iter().chain(also).collect();
        if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        }
    }
}

/// Creates rows.
pub(super) fn insert(
    target: Target<'_>,
    rows: &[RowWrite],
    moves: &Moves,
    guard: Guard,
) -> Statement {
    let mut statement = Statement::default();
    let mut common = Common::bind(&mut statement, target);
    common.on_conflict = "";
    if guard == Guard::Check {
        let keys = statement.bind(lock::keys_to_lock(target.register));
        let version = statement.bind(target.register.version);
        statement.part(
            "held",
            &format!(
                "SELECT key, version FROM forktex_data.register WHERE key = ANY({keys}::bigint[]) \
                 ORDER BY key FOR KEY SHARE"
            ),
        );
        common.condition = Some(format!(
            "(SELECT h.version FROM held AS h WHERE h.key = {register}) = {version}::bigint",
            register = common.register
        ));
    }
    let after: Vec<&StoredRow> = rows.iter().filter_map(|row| row.after.as_ref()).collect();
    let ids = statement.bind_each(after.iter().map(|row| row.id));
    let stored = statement.bind_each(after.iter().map(|row| Json(StoredCells(&row.cells))));
    let external = statement.bind_each(after.iter().map(|row| row.external_ref.as_deref()));
    let updated = statement.bind_each(after.iter().map(|row| row.updated_at));
    // Only the history asks for what was written.
    let returning = if target.register.keeps_history {
        " RETURNING r.id, r.version, r.cells, r.updated_at"
    } else {
        ""
    };
    statement.part(
        "written",
        &format!(
            "INSERT INTO forktex_data.row AS r (register_key, id, tenant_id, cells, external_ref, updated_at) \
             SELECT {register}, d.id, {tenant}, d.cells, d.external_ref, d.updated_at \
             FROM (SELECT unnest({ids}::uuid[]) AS id, unnest({stored}::jsonb[]) AS cells, \
             unnest({external}::text[]) AS external_ref, unnest({updated}::timestamptz[]) AS updated_at) \
             AS d{filter}{returning}",
            register = common.register,
            tenant = common.tenant,
            filter = common.filter(None),
        ),
    );
    side_parts(&mut statement, &common, moves);
    let references = history_references(target.register, rows);
    history_part(
        &mut statement,
        &common,
        target,
        ids,
        references,
        RowAction::Created,
    );
    answer(&mut statement, &common, moves, guard);
    statement
}

/// Changes rows.
pub(super) fn update(
    target: Target<'_>,
    rows: &[RowWrite],
    moves: &Moves,
    action: RowAction,
) -> Statement {
    let mut statement = Statement::default();
    let common = Common::bind(&mut statement, target);
    let pairs: Vec<(&StoredRow, &StoredRow)> = rows
        .iter()
        .filter_map(|row| Some((row.before.as_ref()?, row.after.as_ref()?)))
        .collect();
    let after: Vec<&StoredRow> = pairs.iter().map(|(_, after)| *after).collect();
    let differences = pairs
        .iter()
        .map(|(before, after)| Difference::between(&before.cells, &after.cells));
    let (changed, removed): (Vec<_>, Vec<_>) = differences
        .map(|difference| (difference.changed, difference.removed))
        .unzip();
    let ids = statement.bind(column(&after, |row| row.id));
    let (changed, removed) = (statement.bind(changed), statement.bind(removed));
    let versions = statement.bind(column(&after, |row| row.version));
    let external = statement.bind(column(&after, |row| row.external_ref.clone()));
    let updated = statement.bind(column(&after, |row| row.updated_at));
    let archived = statement.bind(column(&after, |row| row.archived_at));
    statement.part(
        "written",
        &format!(
            "UPDATE forktex_data.row AS r SET \
             cells = (r.cells || d.changed::jsonb) - string_to_array(d.removed, ','), \
             version = d.version, external_ref = d.external_ref, updated_at = d.updated_at, \
             archived_at = d.archived_at \
             FROM unnest({ids}::uuid[], {changed}::text[], {removed}::text[], {versions}::bigint[], \
             {external}::text[], {updated}::timestamptz[], {archived}::timestamptz[]) \
             AS d (id, changed, removed, version, external_ref, updated_at, archived_at) \
             WHERE r.register_key = {register} AND r.id = d.id \
             RETURNING r.id, r.version, r.cells, r.updated_at",
            register = common.register,
        ),
    );
    side_parts(&mut statement, &common, moves);
    let references = history_references(target.register, rows);
    history_part(&mut statement, &common, target, ids, references, action);
    answer(&mut statement, &common, moves, Guard::Held);
    statement
}

/// Writes cells alone.
pub(super) fn rewrite(target: Target<'_>, rows: &[CellRewrite], moves: &Moves) -> Statement {
    let mut statement = Statement::default();
    let common = Common::bind(&mut statement, target);
    let differences = rows
        .iter()
        .map(|row| Difference::between(&row.before, &row.after));
    let (changed, removed): (Vec<_>, Vec<_>) = differences
        .map(|difference| (difference.changed, difference.removed))
        .unzip();
    let ids = statement.bind(rows.iter().map(|row| row.id).collect::<Vec<Uuid>>());
    let (changed, removed) = (statement.bind(changed), statement.bind(removed));
    statement.part(
        "written",
        &format!(
            "UPDATE forktex_data.row AS r SET \
             cells = (r.cells || d.changed::jsonb) - string_to_array(d.removed, ',') \
             FROM unnest({ids}::uuid[], {changed}::text[], {removed}::text[]) AS d (id, changed, removed) \
             WHERE r.register_key = {register} AND r.id = d.id RETURNING r.id",
            register = common.register,
        ),
    );
    side_parts(&mut statement, &common, moves);
    answer(&mut statement, &common, moves, Guard::Held);
    statement
}

/// Deletes rows.
pub(super) fn delete(target: Target<'_>, ids: Vec<Uuid>, moves: &Moves) -> Statement {
    let mut statement = Statement::default();
    let common = Common::bind(&mut statement, target);
    let ids = statement.bind(ids);
    // The row as it was, one version further: the version that it had is in the history already.
    statement.part(
        "written",
        &format!(
            "DELETE FROM forktex_data.row AS r \
             WHERE r.register_key = {register} AND r.id = ANY({ids}::uuid[]) \
             RETURNING r.id, r.version + 1 AS version, r.cells, now() AS updated_at",
            register = common.register,
        ),
    );
    side_parts(&mut statement, &common, moves);
    history_part(
        &mut statement,
        &common,
        target,
        ids,
        None,
        RowAction::Deleted,
    );
    answer(&mut statement, &common, moves, Guard::Held);
    statement
}

/// The parts of the side tables.
fn side_parts(statement: &mut Statement, common: &Common, moves: &Moves) {
    text_parts(statement, common, &moves.text);
    number_parts(statement, common, &moves.number);
    unique_parts(statement, common, moves);
}

fn text_parts(statement: &mut Statement, common: &Common, moves: &IndexMoves) {
    if !moves.gone.is_empty() {
        let gone = entries(statement, &moves.gone);
        statement.part(
            "text_gone",
            &format!(
                "DELETE FROM forktex_data.value_text AS v USING {gone} \
                 WHERE v.field_key = d.field_key AND v.value = d.value AND v.row_id = d.row_id"
            ),
        );
    }
    gone_empty_part(statement, moves, "text_gone_empty", "value_text", "value");
    if !moves.new.is_empty() {
        let new = new_entries(statement, &moves.new);
        statement.part(
            "text_new",
            &format!(
                "INSERT INTO forktex_data.value_text (field_key, value, row_id, tenant_id) \
                 SELECT d.field_key, d.value, d.row_id, {tenant} FROM {new}{filter}{on_conflict}",
                tenant = common.tenant,
                filter = common.filter(None),
                on_conflict = common.on_conflict,
            ),
        );
    }
}

fn number_parts(statement: &mut Statement, common: &Common, moves: &IndexMoves) {
    if !moves.gone.is_empty() {
        let gone = entries(statement, &moves.gone);
        statement.part(
            "number_keys",
            &format!(
                "SELECT d.field_key, forktex_data.number_key(d.value::numeric) AS sort_key, d.row_id \
                 FROM {gone}"
            ),
        );
        statement.part(
            "number_gone",
            "DELETE FROM forktex_data.value_number AS v USING number_keys AS d \
             WHERE v.field_key = d.field_key AND v.sort_key = d.sort_key AND v.row_id = d.row_id",
        );
    }
    gone_empty_part(
        statement,
        moves,
        "number_gone_empty",
        "value_number",
        "sort_key",
    );
    if !moves.new.is_empty() {
        let new = new_entries(statement, &moves.new);
        statement.part(
            "number_new",
            &format!(
                "INSERT INTO forktex_data.value_number (field_key, value, row_id, tenant_id) \
                 SELECT d.field_key, d.value::numeric, d.row_id, {tenant} FROM {new}{filter}{on_conflict}",
                tenant = common.tenant,
                filter = common.filter(None),
                on_conflict = common.on_conflict,
            ),
        );
    }
}

/// Takes out entries without a value. Apart from the others, as no index serves `IS NOT DISTINCT FROM`.
fn gone_empty_part(
    statement: &mut Statement,
    moves: &IndexMoves,
    part: &str,
    table: &str,
    value: &str,
) {
    if moves.gone_empty.is_empty() {
        return;
    }
    let fields = statement.bind(moves.gone_empty.fields.as_slice());
    let rows = statement.bind(moves.gone_empty.rows.as_slice());
    statement.part(
        part,
        &format!(
            "DELETE FROM forktex_data.{table} AS v \
             USING unnest({fields}::bigint[], {rows}::uuid[]) AS d (field_key, row_id) \
             WHERE v.field_key = d.field_key AND v.{value} IS NULL AND v.row_id = d.row_id"
        ),
    );
}

fn unique_parts(statement: &mut Statement, common: &Common, moves: &Moves) {
    if !moves.unique_gone.is_empty() {
        let gone = entries(statement, &moves.unique_gone);
        statement.part(
            "unique_gone",
            &format!(
                "DELETE FROM forktex_data.unique_value AS v USING {gone} \
                 WHERE v.field_key = d.field_key AND v.value = d.value AND v.row_id = d.row_id \
                 RETURNING v.row_id"
            ),
        );
    }
    if moves.unique_new.is_empty() {
        return;
    }
    // Counting what was taken out waits until all of it is.
    let after_gone =
        (!moves.unique_gone.is_empty()).then_some("(SELECT count(*) FROM unique_gone) >= 0");
    let new = new_entries(statement, &moves.unique_new);
    statement.part(
        "unique_wanted",
        &format!("SELECT d.field_key, d.value, d.row_id FROM {new}"),
    );
    statement.part(
        "unique_new",
        &format!(
            "INSERT INTO forktex_data.unique_value (field_key, value, row_id, tenant_id) \
             SELECT d.field_key, d.value, d.row_id, {tenant} FROM unique_wanted AS d{filter} \
             ON CONFLICT (field_key, value) DO NOTHING RETURNING field_key, row_id",
            tenant = common.tenant,
            filter = common.filter(after_gone),
        ),
    );
}

/// The rows as they are now, for a register that keeps its history.
fn history_part(
    statement: &mut Statement,
    common: &Common,
    target: Target<'_>,
    ids: Placeholder,
    references: Option<Vec<String>>,
    action: RowAction,
) {
    if !target.register.keeps_history {
        return;
    }
    let actor = statement.bind(target.actor);
    let (cells, with_references) = match references {
        None => ("w.cells", String::new()),
        Some(references) => {
            let references = statement.bind(references);
            let join = format!(
                " JOIN unnest({ids}::uuid[], {references}::text[]) AS d (id, linked) ON d.id = w.id"
            );
            ("w.cells || d.linked::jsonb", join)
        }
    };
    statement.part(
        "history",
        &format!(
            "INSERT INTO forktex_data.history \
             (register_key, row_id, version, tenant_id, action, changed_by, changed_at, cells) \
             SELECT {register}, w.id, w.version, {tenant}, '{action}', {actor}::uuid, w.updated_at, {cells} \
             FROM written AS w{with_references}",
            register = common.register,
            tenant = common.tenant,
            action = action.as_str(),
        ),
    );
}

/// What the statement answers: the version that it checked, then each unique value that it did not get.
fn answer(statement: &mut Statement, common: &Common, moves: &Moves, guard: Guard) {
    let version = match guard {
        Guard::Held => {
            "SELECT NULL::bigint AS version, NULL::bigint AS field_key, NULL::uuid AS row_id WHERE false"
                .to_owned()
        }
        Guard::Check => format!(
            "SELECT h.version AS version, NULL::bigint AS field_key, NULL::uuid AS row_id \
             FROM held AS h WHERE h.key = {register}",
            register = common.register
        ),
    };
    if moves.unique_new.is_empty() {
        statement.end(&version);
        return;
    }
    statement.end(&format!(
        "{version} UNION ALL SELECT NULL::bigint, d.field_key, d.row_id FROM unique_wanted AS d \
         WHERE NOT EXISTS (SELECT 1 FROM unique_new AS u \
         WHERE u.field_key = d.field_key AND u.row_id = d.row_id)"
    ));
}

/// Binds entries that are looked for, and gives them as a table `d`.
fn entries(statement: &mut Statement, entries: &Entries<String>) -> String {
    let (fields, values, rows) = bind_entries(statement, entries);
    format!(
        "unnest({fields}::bigint[], {values}::text[], {rows}::uuid[]) AS d (field_key, value, row_id)"
    )
}

/// Binds entries that are put in, and gives them as a table `d`, in their order. A list of columns takes
/// from arrays row by row; in `FROM`, each array would first be laid out as a whole.
fn new_entries<'q, V>(statement: &mut Statement, entries: &Entries<V>) -> String
where
    V: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
{
    let (fields, values, rows) = bind_entries(statement, entries);
    format!(
        "(SELECT unnest({fields}::bigint[]) AS field_key, unnest({values}::text[]) AS value, \
         unnest({rows}::uuid[]) AS row_id) AS d"
    )
}

/// Fields, values and rows. Numbers are bound as text too, so that none is rounded.
fn bind_entries<'q, V>(
    statement: &mut Statement,
    entries: &Entries<V>,
) -> (Placeholder, Placeholder, Placeholder)
where
    V: Encode<'q, Postgres> + Type<Postgres> + PgHasArrayType,
{
    let fields = statement.bind(entries.fields.as_slice());
    let values = statement.bind(entries.values.as_slice());
    let rows = statement.bind(entries.rows.as_slice());
    (fields, values, rows)
}

/// One column of rows, to be bound as an array.
fn column<T>(rows: &[&StoredRow], of: impl Fn(&StoredRow) -> T) -> Vec<T> {
    rows.iter().map(|row| of(row)).collect()
}

#[cfg(test)]
mod tests;
