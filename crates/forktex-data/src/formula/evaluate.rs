// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Evaluates a formula over the cells of one row. It never fails: what has no answer is empty.

use std::cmp::Ordering;

use rust_decimal::Decimal;

use super::functions::{self, Function};
use super::parser::{Comparison, Expression, Node, Operator};
use crate::cell::Cell;
use crate::limits::TEXT_LENGTH_MAX;
use crate::value::{Value, ValueKind};

/// Bytes beyond which no text can be one of a cell, whatever its characters.
const TEXT_BYTES_MAX: usize = 4 * TEXT_LENGTH_MAX;

type CellOf<'c> = &'c dyn Fn(&str) -> Cell;

/// The value of the node, if it has one.
pub(super) fn evaluate(node: &Node, cell_of: CellOf<'_>) -> Option<Value> {
    match &node.expression {
        Expression::Literal(value) => Some(value.clone()),
        Expression::Empty => None,
        Expression::Field(name) => cell_of(name).into_value(),
        Expression::Negate(operand) => match evaluate(operand, cell_of)? {
            Value::Integer(number) => number.checked_neg().map(Value::Integer),
            other => other.as_decimal().map(|number| Value::Decimal(-number)),
        },
        Expression::Not(operand) => Some(Value::Boolean(!holds(operand, cell_of))),
        Expression::Compare {
            left,
            comparison,
            right,
        } => {
            let ordering = evaluate(left, cell_of)
                .zip(evaluate(right, cell_of))
                .and_then(|(left, right)| left.compare(&right));
            Some(Value::Boolean(compares(*comparison, ordering)))
        }
        Expression::Chain { first, rest } => chain(first, rest, cell_of),
        Expression::Call {
            function,
            arguments,
        } => call(*function, arguments, cell_of),
    }
}

/// The value in the form in which cells of the kind hold it; none where it is of another kind.
pub(super) fn result(value: Value, kind: ValueKind) -> Option<Value> {
    match (kind, value) {
        (ValueKind::Decimal, value) => value.as_decimal().and_then(functions::shortest),
        (_, value) => (value.kind() == kind).then_some(value),
    }
}

/// Whether a condition holds. An empty one does not.
fn holds(node: &Node, cell_of: CellOf<'_>) -> bool {
    evaluate(node, cell_of).and_then(|value| value.as_boolean()) == Some(true)
}

/// Whether the order fits. Where one of the two was empty there is none, and nothing fits.
fn compares(comparison: Comparison, ordering: Option<Ordering>) -> bool {
    ordering.is_some_and(|ordering| match comparison {
        Comparison::Equal => ordering.is_eq(),
        Comparison::Different => ordering.is_ne(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
    })
}

fn chain(first: &Node, rest: &[(Operator, Node)], cell_of: CellOf<'_>) -> Option<Value> {
    match rest.first()?.0 {
        Operator::And => {
            let all = holds(first, cell_of) && rest.iter().all(|(_, node)| holds(node, cell_of));
            Some(Value::Boolean(all))
        }
        Operator::Or => {
            let any = holds(first, cell_of) || rest.iter().any(|(_, node)| holds(node, cell_of));
            Some(Value::Boolean(any))
        }
        Operator::Concatenate => {
            let mut text = functions::text(&evaluate(first, cell_of)?)?;
            for (_, node) in rest {
                text = joined(text, &functions::text(&evaluate(node, cell_of)?)?)?;
            }
            functions::bounded(text)
        }
        _ => {
            let mut result = evaluate(first, cell_of)?;
            for (operator, node) in rest {
                result = arithmetic(*operator, &result, &evaluate(node, cell_of)?)?;
            }
            Some(result)
        }
    }
}

/// The two texts together, unless that is more than a cell may hold.
fn joined(mut text: String, more: &str) -> Option<String> {
    if text.len().saturating_add(more.len()) > TEXT_BYTES_MAX {
        return None;
    }
    text.push_str(more);
    Some(text)
}

fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Option<Value> {
    if let (Value::Integer(left), Value::Integer(right)) = (left, right)
        && operator != Operator::Divide
    {
        let result = match operator {
            Operator::Add => left.checked_add(*right),
            Operator::Subtract => left.checked_sub(*right),
            Operator::Multiply => left.checked_mul(*right),
            Operator::Remainder => left.checked_rem(*right),
            _ => None,
        };
        return result.map(Value::Integer);
    }
    let (left, right): (Decimal, Decimal) = (left.as_decimal()?, right.as_decimal()?);
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide => left.checked_div(right),
        Operator::Remainder => left.checked_rem(right),
        _ => None,
    };
    result.map(Value::Decimal)
}

fn call(function: Function, arguments: &[Node], cell_of: CellOf<'_>) -> Option<Value> {
    match (function, arguments) {
        (Function::If, [condition, then, otherwise]) => {
            let chosen = if holds(condition, cell_of) {
                then
            } else {
                otherwise
            };
            evaluate(chosen, cell_of)
        }
        (Function::Coalesce, values) => values.iter().find_map(|value| evaluate(value, cell_of)),
        (Function::IsEmpty, [value]) => Some(Value::Boolean(evaluate(value, cell_of).is_none())),
        (Function::Concat, values) => {
            let mut text = String::new();
            for value in values.iter().filter_map(|value| evaluate(value, cell_of)) {
                text = joined(text, &functions::text(&value)?)?;
            }
            functions::bounded(text)
        }
        (Function::Contains | Function::StartsWith | Function::EndsWith, _) => {
            // A comparison: false where something is empty.
            let found = values(arguments, cell_of)
                .and_then(|arguments| functions::call(function, &arguments));
            Some(found.unwrap_or(Value::Boolean(false)))
        }
        _ => functions::call(function, &values(arguments, cell_of)?),
    }
}

/// The values of all, if none is empty.
fn values(arguments: &[Node], cell_of: CellOf<'_>) -> Option<Vec<Value>> {
    arguments
        .iter()
        .map(|argument| evaluate(argument, cell_of))
        .collect()
}
