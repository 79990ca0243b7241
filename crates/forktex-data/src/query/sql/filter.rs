// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Conditions as SQL. They have two outcomes: where NULL could make a difference, under `not`, each
//! comparison is made TRUE or FALSE.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::filter::check::{CheckedFilter, CheckedRelated, Column, Test};
use crate::keys::RelationshipKey;
use crate::limits::SEARCH_WORD_CHARACTERS_MAX;
use crate::operator::Operator;
use crate::query::stored::StoredSource;
use crate::register::Side;
use crate::search::{SIMILAR_ONE_OF, tokenize, trigrams};
use crate::value::Value;

use super::{
    Bind, CREATED_AT_IN_ID, EmptyState, Entry, Key, RowBase, RowSource, SqlExpression, SqlWriter,
    conjuncts, entry, is_by_value, is_served,
};

/// What conditions are written over.
pub(crate) struct Context<'a> {
    source: &'a dyn RowSource,
    base: &'a RowBase,
    /// The rows are narrowed by a side table already: what else is asked is asked of those that are left.
    is_narrowed: bool,
}

impl<'a> Context<'a> {
    pub(crate) fn new(source: &'a dyn RowSource, base: &'a RowBase, is_narrowed: bool) -> Self {
        Self {
            source,
            base,
            is_narrowed,
        }
    }

    /// Writes a condition that must hold, by an index where that is possible.
    pub(crate) fn write(&self, writer: &mut SqlWriter, filter: &CheckedFilter) {
        match filter {
            CheckedFilter::Test(test) => self.test(writer, test),
            CheckedFilter::Or(members) if !self.is_narrowed => self.any_of(writer, members),
            other => self.exact(writer, other),
        }
    }

    fn test(&self, writer: &mut SqlWriter, test: &Test) {
        match entry(self.source, test.column) {
            Some(entry) if !self.is_narrowed && is_served(test.operator) => {
                self.in_entry(writer, std::slice::from_ref(&(test, entry)));
            }
            _ => self.plain(writer, test),
        }
    }

    /// Rows that any of several indexes finds; else a condition on each row.
    fn any_of(&self, writer: &mut SqlWriter, members: &[CheckedFilter]) {
        let served: Option<Vec<(&Test, Entry)>> = members
            .iter()
            .map(|member| match member {
                CheckedFilter::Test(test) if is_served(test.operator) => {
                    Some((test, entry(self.source, test.column)?))
                }
                _ => None,
            })
            .collect();
        match served {
            Some(served) if !served.is_empty() => self.in_entry(writer, &served),
            _ => self.list(writer, members, " OR ", "FALSE"),
        }
    }

    fn in_entry(&self, writer: &mut SqlWriter, tests: &[(&Test, Entry)]) {
        writer.push(&self.base.id).push(" IN (");
        for (n, (test, entry)) in tests.iter().enumerate() {
            if n > 0 {
                writer.push(" UNION ALL ");
            }
            let key = writer.bind_key(Key::Field(entry.key));
            writer.push(&format!(
                "SELECT e.row_id FROM {} e WHERE e.field_key = {key} AND ",
                entry.table
            ));
            write_test_on(writer, test, &entry.expression("e"));
        }
        // No range is read anew for each row: see `join`.
        if tests.iter().any(|(test, _)| !is_by_value(test.operator)) {
            writer.push(" OFFSET 0");
        }
        writer.push(")");
    }

    /// Writes a condition over the row itself; the result may be NULL for FALSE where it is not
    /// negated.
    fn exact(&self, writer: &mut SqlWriter, filter: &CheckedFilter) {
        match filter {
            CheckedFilter::And(members) => self.list(writer, members, " AND ", "TRUE"),
            CheckedFilter::Or(members) => self.list(writer, members, " OR ", "FALSE"),
            CheckedFilter::Not(inner) => {
                writer.push("(");
                self.exact(writer, inner);
                writer.push(") IS NOT TRUE");
            }
            CheckedFilter::Test(test) => self.plain(writer, test),
            CheckedFilter::Related(related) => self.related(writer, related),
        }
    }

    fn list(&self, writer: &mut SqlWriter, members: &[CheckedFilter], word: &str, of_none: &str) {
        if members.is_empty() {
            writer.push(of_none);
            return;
        }
        writer.push("(");
        for (n, member) in members.iter().enumerate() {
            if n > 0 {
                writer.push(word);
            }
            writer.push("(");
            self.exact(writer, member);
            writer.push(")");
        }
        writer.push(")");
    }

    /// One comparison, asked of the row.
    fn plain(&self, writer: &mut SqlWriter, test: &Test) {
        let register = self.source.register();
        if let Some(field) = test.column.field(register)
            && test.column.is_reference(register)
        {
            let relationship = crate::relations::link::outgoing(register, field);
            match relationship {
                Some(relationship) => self.link(writer, test, relationship.key),
                None => {
                    writer.push("FALSE");
                }
            }
            return;
        }
        match (test.operator, test.column) {
            (Operator::IsNull, Column::Field(place)) => {
                let state = self.source.state(writer, place, EmptyState::Null);
                writer.push(&state);
            }
            (Operator::IsAbsent, Column::Field(place)) => {
                let state = self.source.state(writer, place, EmptyState::Absent);
                writer.push(&state);
            }
            // What every row has was never emptied: without a value, it was never set.
            (Operator::IsNull, _) => {
                writer.push("FALSE");
            }
            (_, Column::CreatedAt) if self.base.created_at == CREATED_AT_IN_ID => {
                write_created_at(writer, test, &self.base.id);
            }
            _ => {
                let expression = self.source.expression(writer, test.column);
                write_test_on(writer, test, &expression);
            }
        }
    }

    fn link(&self, writer: &mut SqlWriter, test: &Test, relationship: RelationshipKey) {
        let id = &self.base.id;
        let relationship = writer.bind_key(Key::Relationship(relationship));
        let links = format!("FROM forktex_data.link l WHERE l.relationship_key = {relationship}");
        match test.operator {
            Operator::Eq | Operator::In => {
                let ids = test.operands.iter().filter_map(Value::as_uuid).collect();
                let ids = writer.bind(Bind::Uuids(ids));
                writer.push(&format!(
                    "{id} IN (SELECT l.source_id {links} AND l.target_id = ANY ({ids}::uuid[]))"
                ));
            }
            Operator::IsEmpty | Operator::IsAbsent => {
                writer.push(&format!(
                    "NOT EXISTS (SELECT 1 {links} AND l.source_id = {id})"
                ));
            }
            // The capabilities of a reference have no other.
            _ => {
                writer.push("FALSE");
            }
        }
    }

    fn related(&self, writer: &mut SqlWriter, related: &CheckedRelated) {
        let (own, other) = match related.side {
            Side::Source => ("source_id", "target_id"),
            Side::Target => ("target_id", "source_id"),
        };
        let source = StoredSource::with_alias(&related.register, "other");
        let base = source.base();
        let condition = source.condition(writer);
        let key = writer.bind_key(Key::Relationship(related.relationship));
        writer.push(&format!(
            "{id} IN (SELECT l.{own} FROM forktex_data.link l JOIN {from} \
             ON {other_id} = l.{other} AND {condition} \
             WHERE l.relationship_key = {key} AND other.archived_at IS NULL",
            id = self.base.id,
            from = base.from,
            other_id = base.id,
        ));
        let context = Context::new(&source, &base, false);
        for member in conjuncts(&related.filter) {
            writer.push(" AND ");
            context.write(writer, member);
        }
        writer.push(")");
    }
}

/// Writes a comparison with an expression. NULL for an empty cell, but for `is_empty`.
pub(crate) fn write_test_on(writer: &mut SqlWriter, test: &Test, expression: &SqlExpression) {
    let SqlExpression { sql, form } = expression;
    let one = |writer: &mut SqlWriter, word: &str| {
        let first = test.operands.first().map(Value::canonical_text);
        let operand = writer.bind_text(first.unwrap_or_default());
        writer.push(&format!("{sql} {word} {}", form.operand(&operand)));
    };
    match test.operator {
        Operator::Eq => one(writer, "="),
        Operator::Ne => one(writer, "<>"),
        Operator::Lt => one(writer, "<"),
        Operator::Lte => one(writer, "<="),
        Operator::Gt => one(writer, ">"),
        Operator::Gte => one(writer, ">="),
        Operator::Between => {
            let bounds: Vec<String> = test
                .operands
                .iter()
                .map(|value| writer.bind_text(value.canonical_text()))
                .map(|placeholder| form.operand(&placeholder))
                .collect();
            writer.push(&format!("{sql} BETWEEN {}", bounds.join(" AND ")));
        }
        Operator::In | Operator::NotIn => {
            let texts: Vec<String> = test.operands.iter().map(Value::canonical_text).collect();
            // To differ from all of none, an empty one would do.
            if test.operator == Operator::NotIn && texts.is_empty() {
                writer.push(&format!("{sql} IS NOT NULL"));
                return;
            }
            let list = form.operands(&writer.bind(Bind::Texts(texts)));
            if test.operator == Operator::In {
                writer.push(&format!("{sql} = ANY ({list})"));
            } else {
                writer.push(&format!("{sql} <> ALL ({list})"));
            }
        }
        Operator::IsEmpty | Operator::IsAbsent => {
            writer.push(&format!("{sql} IS NULL"));
        }
        Operator::IsNull => {
            writer.push("FALSE");
        }
        Operator::Contains
        | Operator::Icontains
        | Operator::StartsWith
        | Operator::EndsWith
        | Operator::Fuzzy => write_text_test(writer, test, sql),
    }
}

fn write_text_test(writer: &mut SqlWriter, test: &Test, sql: &str) {
    let part = test.operands.first().and_then(Value::as_str);
    let part = part.unwrap_or_default();
    match test.operator {
        Operator::Contains => {
            let pattern = writer.bind_text(format!("%{}%", escape_like(part)));
            writer.push(&format!("{sql} LIKE {pattern}::text"));
        }
        Operator::EndsWith => {
            let pattern = writer.bind_text(format!("%{}", escape_like(part)));
            writer.push(&format!("{sql} LIKE {pattern}::text"));
        }
        // Of letters beyond ASCII only a collation that knows them has the lower case.
        Operator::Icontains => {
            let part = escape_like(&part.to_lowercase());
            let pattern = writer.bind_text(format!("%{part}%"));
            writer.push(&format!(
                "(lower({sql} COLLATE \"und-x-icu\") COLLATE \"C\") LIKE {pattern}::text"
            ));
        }
        // As a range, which an index serves under row-level security, where LIKE is served by none.
        Operator::StartsWith => {
            let low = writer.bind_text(part);
            writer.push(&format!("{sql} >= {low}::text"));
            if let Some(after) = after_all_that_begin_with(part) {
                let high = writer.bind_text(after);
                writer.push(&format!(" AND {sql} < {high}::text"));
            }
        }
        _ => write_fuzzy(writer, sql, part),
    }
}

/// Each word of the pattern is like a word of the text.
fn write_fuzzy(writer: &mut SqlWriter, sql: &str, pattern: &str) {
    let words = tokenize(pattern);
    if words.is_empty() {
        writer.push("FALSE");
        return;
    }
    writer.push("(");
    for (n, word) in words.iter().enumerate() {
        if n > 0 {
            writer.push(" AND ");
        }
        let letters = writer.bind_count(word.chars().count());
        let trigrams = writer.bind(Bind::Texts(trigrams(word)));
        writer.push(&format!(
            "EXISTS (SELECT 1 FROM (\
                SELECT left(part, {SEARCH_WORD_CHARACTERS_MAX}) AS word \
                FROM regexp_split_to_table(\
                    lower({sql} COLLATE \"und-x-icu\"), '[^[:alnum:]]+') AS part \
                WHERE part <> ''\
             ) found, LATERAL (\
                SELECT count(DISTINCT substr('  ' || found.word || ' ', place, 3)) AS shared \
                FROM generate_series(1, length(found.word) + 1) AS place \
                WHERE substr('  ' || found.word || ' ', place, 3) = ANY ({trigrams}::text[])\
             ) same WHERE same.shared * {SIMILAR_ONE_OF} >= length(found.word) + {letters}::bigint + 2 - same.shared)"
        ));
    }
    writer.push(")");
}

/// The least text, by code point, that is greater than all that begin with this one; none where there is
/// no such text.
pub(super) fn after_all_that_begin_with(part: &str) -> Option<String> {
    let mut letters: Vec<char> = part.chars().collect();
    while let Some(last) = letters.pop() {
        // A range of characters steps over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

/// `%`, `_` and `\` stand for themselves.
pub(crate) fn escape_like(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for letter in part.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A comparison of the instant that is in the row's id, in milliseconds: as one of ids, so that the
/// primary key serves it.
fn write_created_at(writer: &mut SqlWriter, test: &Test, id: &str) {
    let instants: Vec<Moment> = test
        .operands
        .iter()
        .filter_map(Value::as_instant)
        .map(Moment::new)
        .collect();
    let compare = |writer: &mut SqlWriter, word: &str, bound: Uuid| {
        let bound = writer.bind(Bind::Uuid(bound));
        writer.push(&format!("{id} {word} {bound}::uuid"));
    };
    match (test.operator, instants.as_slice()) {
        (Operator::Lt, [at]) => compare(writer, "<", at.first_not_before()),
        (Operator::Lte, [at]) => compare(writer, "<", at.first_after()),
        (Operator::Gt, [at]) => compare(writer, ">=", at.first_after()),
        (Operator::Gte, [at]) => compare(writer, ">=", at.first_not_before()),
        (Operator::Between, [low, high]) => {
            compare(writer, ">=", low.first_not_before());
            writer.push(" AND ");
            compare(writer, "<", high.first_after());
        }
        (Operator::Eq | Operator::In, list) => write_at_any(writer, list, id),
        (Operator::Ne | Operator::NotIn, list) => {
            writer.push("NOT ");
            write_at_any(writer, list, id);
        }
        // Every row was made at some time.
        _ => {
            writer.push("FALSE");
        }
    }
}

fn write_at_any(writer: &mut SqlWriter, list: &[Moment], id: &str) {
    // An instant between two milliseconds is in no id: its range is empty.
    let low = list.iter().map(Moment::first_not_before).collect();
    let high = list.iter().map(Moment::first_after).collect();
    let low = writer.bind(Bind::Uuids(low));
    let high = writer.bind(Bind::Uuids(high));
    writer.push(&format!(
        "(EXISTS (SELECT 1 FROM unnest({low}::uuid[], {high}::uuid[]) AS at (low, high) \
         WHERE {id} >= at.low AND {id} < at.high))"
    ));
}

/// An instant as the ids around it.
struct Moment {
    milliseconds: i128,
    is_whole: bool,
}

impl Moment {
    fn new(instant: OffsetDateTime) -> Self {
        let nanoseconds = (instant - OffsetDateTime::UNIX_EPOCH).whole_nanoseconds();
        Self {
            milliseconds: nanoseconds.div_euclid(1_000_000),
            is_whole: nanoseconds.rem_euclid(1_000_000) == 0,
        }
    }

    /// No id that was made at this instant or later is less.
    fn first_not_before(&self) -> Uuid {
        if self.is_whole {
            id_at(self.milliseconds)
        } else {
            self.first_after()
        }
    }

    /// No id that was made later is less.
    fn first_after(&self) -> Uuid {
        id_at(self.milliseconds + 1)
    }
}

/// The least id of a millisecond. The first 48 bits of an id count them since 1970.
fn id_at(milliseconds: i128) -> Uuid {
    let most = (1_i128 << 48) - 1;
    let milliseconds = u128::try_from(milliseconds.clamp(0, most)).unwrap_or_default();
    Uuid::from_u128(milliseconds << 80)
}
