// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A checked filter asked of a row in memory, with the meaning that it has in SQL. It reads no other
//! rows: a condition on related ones never holds here, and sources in memory refuse it before.

use std::borrow::Cow;
use std::cmp::Ordering;

use uuid::Uuid;

use crate::cell::Cell;
use crate::operator::Operator;
use crate::register::LoadedRegister;
use crate::search::{is_similar, tokenize};
use crate::value::Value;

use super::check::{CheckedFilter, Column, Test};

/// A row in memory, as a filter asks it.
pub(crate) trait RowView {
    /// The cell of a field that is no reference, or what every row has.
    fn cell(&self, column: Column) -> Cow<'_, Cell>;

    /// The rows that a reference field points to.
    fn links(&self, field: usize) -> Cow<'_, [Uuid]>;
}

/// Whether the row passes the filter.
pub(crate) fn evaluate(
    filter: &CheckedFilter,
    register: &LoadedRegister,
    row: &dyn RowView,
) -> bool {
    match filter {
        CheckedFilter::And(members) => members.iter().all(|member| evaluate(member, register, row)),
        CheckedFilter::Or(members) => members.iter().any(|member| evaluate(member, register, row)),
        CheckedFilter::Not(inner) => !evaluate(inner, register, row),
        CheckedFilter::Test(test) => match test.column {
            Column::Field(field) if test.column.is_reference(register) => {
                holds_for_links(test, &row.links(field))
            }
            column => holds(test, &row.cell(column)),
        },
        CheckedFilter::Related(_) => false,
    }
}

/// The order of two cells, ascending: an empty one is the greatest.
pub(crate) fn compare_cells(one: &Cell, two: &Cell) -> Ordering {
    match (one.value(), two.value()) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(one), Some(two)) => one.compare(two).unwrap_or(Ordering::Equal),
    }
}

/// Whether each word of the pattern is like a word of the text. A pattern without words is like
/// nothing.
pub(crate) fn is_like(text: &str, pattern: &str) -> bool {
    let words = tokenize(text);
    let wanted = tokenize(pattern);
    !wanted.is_empty()
        && wanted
            .iter()
            .all(|wanted| words.iter().any(|word| is_similar(word, wanted)))
}

fn holds_for_links(test: &Test, links: &[Uuid]) -> bool {
    let is_among = |value: &Value| value.as_uuid().is_some_and(|id| links.contains(&id));
    match test.operator {
        Operator::Eq | Operator::In => test.operands.iter().any(is_among),
        Operator::Ne | Operator::NotIn => !links.is_empty() && !test.operands.iter().any(is_among),
        Operator::IsEmpty | Operator::IsAbsent => links.is_empty(),
        _ => false,
    }
}

fn holds(test: &Test, cell: &Cell) -> bool {
    match test.operator {
        Operator::IsEmpty => return cell.is_empty(),
        Operator::IsNull => return *cell == Cell::Null,
        Operator::IsAbsent => return *cell == Cell::Absent,
        _ => {}
    }
    let Some(value) = cell.value() else {
        return false;
    };
    match (test.operator, test.operands.as_slice()) {
        (Operator::Eq, [operand]) => is_equal(value, operand),
        (Operator::Ne, [operand]) => !is_equal(value, operand),
        (Operator::Lt, [operand]) => value.compare(operand).is_some_and(Ordering::is_lt),
        (Operator::Lte, [operand]) => value.compare(operand).is_some_and(Ordering::is_le),
        (Operator::Gt, [operand]) => value.compare(operand).is_some_and(Ordering::is_gt),
        (Operator::Gte, [operand]) => value.compare(operand).is_some_and(Ordering::is_ge),
        (Operator::Between, [low, high]) => {
            value.compare(low).is_some_and(Ordering::is_ge)
                && value.compare(high).is_some_and(Ordering::is_le)
        }
        (Operator::In, list) => list.iter().any(|operand| is_equal(value, operand)),
        (Operator::NotIn, list) => !list.iter().any(|operand| is_equal(value, operand)),
        (operator, [part]) => match (value.as_str(), part.as_str()) {
            (Some(whole), Some(part)) => holds_for_text(operator, whole, part),
            _ => false,
        },
        _ => false,
    }
}

fn holds_for_text(operator: Operator, text: &str, part: &str) -> bool {
    match operator {
        Operator::Contains => text.contains(part),
        Operator::Icontains => text.to_lowercase().contains(&part.to_lowercase()),
        Operator::StartsWith => text.starts_with(part),
        Operator::EndsWith => text.ends_with(part),
        Operator::Fuzzy => is_like(text, part),
        _ => false,
    }
}

fn is_equal(one: &Value, two: &Value) -> bool {
    one.compare(two) == Some(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn test(operator: Operator, operands: &[Value]) -> Test {
        Test {
            column: Column::ExternalRef,
            operator,
            operands: operands.to_vec(),
        }
    }

    #[test]
    fn an_empty_cell_is_in_no_comparison() {
        let one = [Value::from("a")];
        for cell in [Cell::Null, Cell::Absent] {
            for operator in Operator::ALL {
                let expected = match operator {
                    Operator::IsEmpty => true,
                    Operator::IsNull => cell == Cell::Null,
                    Operator::IsAbsent => cell == Cell::Absent,
                    _ => false,
                };
                assert_eq!(holds(&test(operator, &one), &cell), expected, "{operator}");
            }
        }
    }

    #[test]
    fn numbers_compare_across_kinds() {
        let cell = Cell::Value(Value::Decimal("2.50".parse().unwrap()));
        let half = Value::Decimal("2.5".parse().unwrap());
        assert!(holds(&test(Operator::Eq, &[half]), &cell));
        assert!(holds(&test(Operator::Gt, &[Value::from(2)]), &cell));
        assert!(!holds(&test(Operator::In, &[Value::from(2)]), &cell));
        assert!(holds(&test(Operator::NotIn, &[]), &cell));
        assert!(!holds(&test(Operator::In, &[]), &cell));
    }

    #[test]
    fn texts_compare_by_code_point_and_parts_are_literal() {
        let cell = Cell::Value(Value::from("50% Ärger"));
        assert!(holds(
            &test(Operator::Contains, &[Value::from("0% Ä")]),
            &cell
        ));
        assert!(!holds(
            &test(Operator::Contains, &[Value::from("5%r")]),
            &cell
        ));
        assert!(holds(
            &test(Operator::Icontains, &[Value::from("äRG")]),
            &cell
        ));
        assert!(holds(
            &test(Operator::Fuzzy, &[Value::from("arger ärgr")]),
            &cell
        ));
        assert!(!holds(
            &test(Operator::Fuzzy, &[Value::from("zebra")]),
            &cell
        ));
    }

    #[test]
    fn empties_are_the_greatest() {
        let mut cells = [
            Cell::Null,
            Cell::Value(Value::from("b")),
            Cell::Absent,
            Cell::Value(Value::from("B")),
        ];
        cells.sort_by(compare_cells);
        let shown: Vec<_> = cells.iter().map(|cell| json!(cell)).collect();
        assert_eq!(shown, [json!("B"), json!("b"), json!(null), json!(null)]);
    }

    #[test]
    fn links_are_asked_one_by_one() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(holds_for_links(&test(Operator::Eq, &[a.into()]), &[b, a]));
        assert!(!holds_for_links(&test(Operator::Ne, &[a.into()]), &[]));
        assert!(holds_for_links(&test(Operator::IsEmpty, &[]), &[]));
    }
}
