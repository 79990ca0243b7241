// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Computes rollups: one statement for all rollups over one relationship. Archived rows are left out.
//!
//! The server computes with exact numbers. An average is rounded to ten digits after the point; a sum that
//! its field cannot hold is empty.

use std::fmt::Write as _;

use forktex_db::Transaction;
use forktex_db::sqlx::{self, AssertSqlSafe, Row as _};
use serde_json::Value as Json;
use uuid::Uuid;

use super::lookup::Found;
use super::rule::Rule;
use crate::error::DataError;
use crate::field_type::Rollup;
use crate::register::{Field, LoadedRegister};
use crate::relationship::Direction;
use crate::value::{Value, ValueKind, normalized, parse_exact_decimal};

/// Rollups in one statement: a function of the server takes at most a hundred arguments.
const ROLLUPS_PER_STATEMENT: usize = 50;

/// Zero with twenty places, which a quotient then has at least.
const TWENTY_PLACES: &str = "0.00000000000000000000";

/// Computes the rollups of one path for some rows. A round trip for each fifty rollups. Rows without
/// related ones are not among what is found.
pub(super) async fn read(
    tx: &mut Transaction,
    rules: &[&Rule<'_>],
    other: &LoadedRegister,
    ids: &[Uuid],
    found: &mut Found,
) -> Result<(), DataError> {
    for rules in rules.chunks(ROLLUPS_PER_STATEMENT) {
        let Some(first) = rules.first() else {
            continue;
        };
        let statement = statement(first.path.direction, rules, other);
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(first.path.relationship.key.0)
            .bind(ids)
            .fetch_all(tx.connection())
            .await?;
        for row in &rows {
            let texts: Json = row.try_get("texts")?;
            let values = found.entry(row.try_get("id")?).or_default();
            for (rule, text) in rules.iter().zip(texts.as_array().into_iter().flatten()) {
                let value = text.as_str().and_then(|text| parse(rule.field.kind, text));
                values.extend(value.map(|value| (rule.field.key, value)));
            }
        }
    }
    Ok(())
}

/// The statement: names of this crate, and keys, which are numbers. $1: the relationship; $2: the rows.
fn statement(direction: Direction, rules: &[&Rule<'_>], other: &LoadedRegister) -> String {
    let (own, far) = match direction {
        Direction::Forward => ("source", "target"),
        Direction::Backward => ("target", "source"),
    };
    let mut texts = String::new();
    for (at, rule) in rules.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let read = rule.read_name.and_then(|name| other.field(name));
        // Writing to a string cannot fail.
        let _ = write!(texts, "{separator}{}", expression(rule.aggregate, read));
    }
    format!(
        "SELECT l.{own}_id AS id, jsonb_build_array({texts}) AS texts \
         FROM forktex_data.link AS l \
         JOIN forktex_data.row AS r ON r.register_key = l.{far}_register_key AND r.id = l.{far}_id \
         WHERE l.relationship_key = $1 AND l.{own}_id = ANY($2) AND r.archived_at IS NULL \
         GROUP BY l.{own}_id"
    )
}

/// The aggregate as an expression that gives text.
fn expression(aggregate: Option<&Rollup>, read: Option<&Field>) -> String {
    let Some(read) = read else {
        return match aggregate {
            Some(Rollup::Count) => "count(*)::text".to_owned(),
            Some(Rollup::Exists) => "'true'::text".to_owned(),
            _ => "NULL::text".to_owned(),
        };
    };
    let key = read.key;
    let number = format!("(r.cells->>'{key}')::numeric");
    let text = format!("(r.cells->>'{key}') COLLATE \"C\"");
    match aggregate {
        Some(Rollup::Sum(_)) => format!("trim_scale(sum({number}))::text"),
        // The server's own average keeps 16 digits in all; this keeps ten behind the point of any.
        Some(Rollup::Average(_)) => format!(
            "trim_scale(round((sum({number}) + {TWENTY_PLACES}) / nullif(count({number}), 0), 10))::text"
        ),
        Some(Rollup::Min(_)) if read.kind.is_number() => {
            format!("trim_scale(min({number}))::text")
        }
        Some(Rollup::Max(_)) if read.kind.is_number() => {
            format!("trim_scale(max({number}))::text")
        }
        Some(Rollup::Min(_)) => format!("min({text})"),
        Some(Rollup::Max(_)) => format!("max({text})"),
        Some(Rollup::Count | Rollup::Exists) | None => "NULL::text".to_owned(),
    }
}

/// The value that the text stands for; none where its field cannot hold it.
fn parse(kind: ValueKind, text: &str) -> Option<Value> {
    match kind {
        ValueKind::Integer => text.parse().ok().map(Value::Integer),
        ValueKind::Decimal => parse_exact_decimal(text)
            .map(normalized)
            .map(Value::Decimal),
        ValueKind::Boolean => text.parse().ok().map(Value::Boolean),
        ValueKind::Json => None,
        ValueKind::Text | ValueKind::Date | ValueKind::Datetime | ValueKind::Uuid => {
            Value::from_cell_json(kind, &Json::String(text.to_owned()))?.into_value()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldDefinition;
    use crate::keys::FieldKey;
    use crate::register::BuildState;

    fn field(definition: FieldDefinition, kind: ValueKind) -> Field {
        Field {
            key: FieldKey(17),
            definition,
            kind,
            index: BuildState::None,
            unique_state: BuildState::None,
            search: BuildState::None,
        }
    }

    #[test]
    fn numbers_and_texts_are_aggregated_each_in_their_way() {
        let number = field(FieldDefinition::decimal("amount"), ValueKind::Decimal);
        let date = field(FieldDefinition::date("due"), ValueKind::Date);
        let of = |name: &str| name.to_owned();
        assert_eq!(
            expression(Some(&Rollup::Sum(of("amount"))), Some(&number)),
            "trim_scale(sum((r.cells->>'17')::numeric))::text"
        );
        assert_eq!(
            expression(Some(&Rollup::Max(of("due"))), Some(&date)),
            "max((r.cells->>'17') COLLATE \"C\")"
        );
        assert_eq!(expression(Some(&Rollup::Count), None), "count(*)::text");
        // A field that was dropped a moment ago.
        assert_eq!(expression(Some(&Rollup::Sum(of("x"))), None), "NULL::text");
    }

    #[test]
    fn what_does_not_fit_is_empty() {
        assert_eq!(parse(ValueKind::Integer, "12"), Some(Value::from(12)));
        assert_eq!(parse(ValueKind::Integer, "9223372036854775808"), None);
        assert_eq!(
            parse(ValueKind::Decimal, "1.50").map(|value| value.to_json()),
            Some("1.5".into())
        );
        assert_eq!(parse(ValueKind::Decimal, &"9".repeat(40)), None);
        assert_eq!(parse(ValueKind::Boolean, "true"), Some(Value::from(true)));
        assert_eq!(
            parse(ValueKind::Date, "2026-01-31").map(|value| value.to_json()),
            Some("2026-01-31".into())
        );
    }
}
