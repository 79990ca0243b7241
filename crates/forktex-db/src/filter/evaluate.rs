// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A filter asked of a JSON object in memory, with the meaning that it has in SQL: NULL is two-valued,
//! and a field that is absent is NULL.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{Filter, Node, Test};
use crate::value::Value;

impl<M> Filter<M> {
    /// Whether a JSON object passes the filter. A field may be a path with dots into objects; a field
    /// that has the whole name goes before. Numbers compare as numbers, texts by their bytes, and values
    /// of different kinds are not equal and neither is less. `fuzzy` has no meaning in memory and never
    /// holds: see [`operators`](Self::operators).
    ///
    /// ```
    /// use forktex_db::Filter;
    /// use serde_json::json;
    ///
    /// let filter = Filter::<()>::from_json(&json!({"and": [
    ///     {"field": "total", "gte": 10},
    ///     {"not": {"field": "customer.country", "in": ["AT", "DE"]}},
    /// ]}))?;
    /// let row = json!({"total": 12.5, "customer": {"country": "CH"}});
    /// assert!(filter.matches_json(row.as_object().unwrap()));
    /// # Ok::<(), forktex_db::FilterError>(())
    /// ```
    pub fn matches_json(&self, row: &Map<String, Json>) -> bool {
        matches(&self.node, row)
    }

    /// The words of the operators that the filter uses.
    pub fn operators(&self) -> BTreeSet<&'static str> {
        let mut words = BTreeSet::new();
        gather(&self.node, &mut words);
        words
    }
}

fn gather(node: &Node, words: &mut BTreeSet<&'static str>) {
    match node {
        Node::And(members) | Node::Or(members) => {
            for member in members {
                gather(member, words);
            }
        }
        Node::Not(inner) => gather(inner, words),
        Node::Field { tests, .. } => words.extend(tests.iter().map(Test::word)),
    }
}

fn matches(node: &Node, row: &Map<String, Json>) -> bool {
    match node {
        Node::And(members) => members.iter().all(|member| matches(member, row)),
        Node::Or(members) => members.iter().any(|member| matches(member, row)),
        Node::Not(inner) => !matches(inner, row),
        Node::Field { name, tests } => {
            let value = find(row, name).unwrap_or(&Json::Null);
            tests.iter().all(|test| holds(test, value))
        }
    }
}

fn find<'a>(row: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    row.get(name).or_else(|| {
        name.match_indices('.').find_map(|(dot, _)| {
            let inner = row.get(&name[..dot])?.as_object()?;
            find(inner, &name[dot + 1..])
        })
    })
}

fn holds(test: &Test, value: &Json) -> bool {
    let equals = |operand: &Value| is_equal(value, &operand.to_json());
    let compares = |operand: &Value| compare(value, &operand.to_json());
    let words = value.as_str();
    match test {
        Test::Eq(operand) => equals(operand),
        Test::Ne(operand) => !equals(operand),
        Test::Lt(operand) => compares(operand).is_some_and(Ordering::is_lt),
        Test::Lte(operand) => compares(operand).is_some_and(Ordering::is_le),
        Test::Gt(operand) => compares(operand).is_some_and(Ordering::is_gt),
        Test::Gte(operand) => compares(operand).is_some_and(Ordering::is_ge),
        Test::Between(low, high) => {
            compares(low).is_some_and(Ordering::is_ge)
                && compares(high).is_some_and(Ordering::is_le)
        }
        Test::In(operands) => !value.is_null() && operands.iter().any(equals),
        Test::NotIn(operands) => value.is_null() || !operands.iter().any(equals),
        Test::Contains(operand) => contains(value, &operand.to_json()),
        Test::Icontains(part) => {
            words.is_some_and(|text| text.to_lowercase().contains(&part.to_lowercase()))
        }
        Test::StartsWith(part) => words.is_some_and(|text| text.starts_with(part.as_str())),
        Test::EndsWith(part) => words.is_some_and(|text| text.ends_with(part.as_str())),
        Test::Fuzzy(_) => false,
        Test::IsNull(wanted) => value.is_null() == *wanted,
    }
}

fn is_equal(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Number(_), Json::Number(_)) => compare(left, right) == Some(Ordering::Equal),
        _ => left == right,
    }
}

fn compare(left: &Json, right: &Json) -> Option<Ordering> {
    match (left, right) {
        (Json::Number(left), Json::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
        (Json::Bool(left), Json::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

/// A part of a text, an item of a list, or a part of an object as jsonb's `@>` has it.
fn contains(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::String(whole), Json::String(part)) => whole.contains(part.as_str()),
        (Json::Array(items), Json::Array(parts)) => parts
            .iter()
            .all(|part| items.iter().any(|item| contains_json(item, part))),
        (Json::Array(items), part) => items.iter().any(|item| is_equal(item, part)),
        _ => contains_json(whole, part),
    }
}

fn contains_json(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Object(fields), Json::Object(parts)) => parts.iter().all(|(name, part)| {
            fields
                .get(name)
                .is_some_and(|field| contains_json(field, part))
        }),
        (Json::Array(_), Json::Array(_)) => contains(whole, part),
        _ => is_equal(whole, part),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operator_means_in_memory_what_it_means_in_sql() {
        let row = json!({"n": 3, "f": 1.5, "t": "Ärger", "b": false, "l": [1, "x"], "z": null,
            "o": {"in": {"deep": 7}}, "a.b": 1, "a": {"b": 2}});
        let row = row.as_object().unwrap();
        let cases = [
            (json!({"field": "n", "eq": 3.0}), true),
            (json!({"field": "n", "ne": 3}), false),
            (json!({"field": "n", "gt": 2, "lt": 4}), true),
            (json!({"field": "n", "between": [3, 3]}), true),
            (json!({"field": "n", "lt": "4"}), false),
            (json!({"field": "f", "gte": 1}), true),
            (json!({"field": "n", "in": [1, 3]}), true),
            (json!({"field": "n", "not_in": [1, 3]}), false),
            (json!({"field": "t", "contains": "rge"}), true),
            (json!({"field": "t", "contains": "RGE"}), false),
            (json!({"field": "t", "icontains": "äRG"}), true),
            (json!({"field": "t", "starts_with": "Ä"}), true),
            (json!({"field": "t", "ends_with": "x"}), false),
            (json!({"field": "b", "eq": false}), true),
            (json!({"field": "l", "contains": "x"}), true),
            (json!({"field": "l", "contains": [1]}), true),
            (json!({"field": "o", "contains": {"in": {}}}), true),
            (json!({"field": "o.in.deep", "eq": 7}), true),
            (json!({"field": "a.b", "eq": 1}), true),
            (json!({"field": "z", "is_null": true}), true),
            (json!({"field": "absent", "is_null": true}), true),
            (json!({"field": "absent", "eq": null}), true),
            (json!({"field": "absent", "gt": 1}), false),
            (json!({"field": "absent", "ne": 1}), true),
            (json!({"not": {"field": "absent", "gt": 1}}), true),
            (json!({"field": "absent", "in": [1]}), false),
            (json!({"field": "absent", "not_in": [1]}), true),
            (
                json!({"or": [{"field": "n", "eq": 0}, {"field": "n", "eq": 3}]}),
                true,
            ),
            (
                json!({"and": [{"field": "n", "eq": 0}, {"field": "n", "eq": 3}]}),
                false,
            ),
        ];
        for (json, expected) in cases {
            let filter = Filter::<()>::from_json(&json).unwrap();
            assert_eq!(filter.matches_json(row), expected, "{json}");
        }
    }
}
