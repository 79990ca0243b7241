// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a query means, in memory and by the book: each row is asked, the rest is sorted.
//!
//! It reads the JSON of filters, so that one and the same document goes to the library and to it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::cells::{self, Field, Kind, Plain, Row, State};

/// What is asked, but for the pages.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// A filter as JSON.
    pub(crate) filter: Option<Json>,
    /// Names of fields, each once, `-` before those that descend.
    pub(crate) order_by: Vec<String>,
    /// Words, each of which begins a word of the row.
    pub(crate) search: Option<String>,
}

/// The rows that match, in order.
pub(crate) fn select<'r>(fields: &[Field], rows: &'r [Row], question: &Question) -> Vec<&'r Row> {
    let is_asked_for = |row: &&Row| {
        let matches = |filter| is_match(fields, filter, row);
        let is_found = |text: &String| is_found(fields, text, row);
        !row.is_archived
            && question.filter.as_ref().is_none_or(matches)
            && question.search.as_ref().is_none_or(is_found)
    };
    let mut found: Vec<&Row> = rows.iter().filter(is_asked_for).collect();
    found.sort_by(|one, other| order(&question.order_by, one, other));
    found
}

/// By each key in turn; ties end with the id, in the direction of the last key.
pub(crate) fn order(keys: &[String], one: &Row, other: &Row) -> Ordering {
    let mut is_descending = false;
    for key in keys {
        let name = key.trim_start_matches('-');
        is_descending = key.starts_with('-');
        let by_key = if name == "id" {
            one.id.cmp(&other.id)
        } else {
            cells::order(one.state(name), other.state(name))
        };
        let by_key = turned(by_key, is_descending);
        if by_key != Ordering::Equal {
            return by_key;
        }
    }
    turned(one.id.cmp(&other.id), is_descending)
}

fn turned(order: Ordering, is_descending: bool) -> Ordering {
    if is_descending {
        order.reverse()
    } else {
        order
    }
}

/// Whether a filter holds for a row: yes or no, never unknown.
pub(crate) fn is_match(fields: &[Field], filter: &Json, row: &Row) -> bool {
    let document = filter.as_object().expect("a filter is an object");
    let members = |name: &str| document.get(name).and_then(Json::as_array);
    if let Some(members) = members("and") {
        return members.iter().all(|member| is_match(fields, member, row));
    }
    if let Some(members) = members("or") {
        return members.iter().any(|member| is_match(fields, member, row));
    }
    if let Some(member) = document.get("not") {
        return !is_match(fields, member, row);
    }
    let name = document["field"].as_str().expect("the name of a field");
    let field = fields.iter().find(|field| field.name == name);
    let field = field.unwrap_or_else(|| panic!("no field {name}"));
    tests(document).all(|(operator, operand)| holds(field.kind, row.state(name), operator, operand))
}

fn tests(document: &Map<String, Json>) -> impl Iterator<Item = (&str, &Json)> {
    let words = document
        .iter()
        .map(|(word, operand)| (word.as_str(), operand));
    words.filter(|(word, _)| *word != "field")
}

fn holds(kind: Kind, state: &State, operator: &str, operand: &Json) -> bool {
    let is_wanted = operand.as_bool().unwrap_or(true);
    match operator {
        "is_empty" => return state.value().is_none() == is_wanted,
        "is_null" => return (*state == State::Null) == is_wanted,
        "is_absent" => return (*state == State::Absent) == is_wanted,
        _ => {}
    }
    let Some(value) = state.value() else {
        return false;
    };
    let one = |operand: &Json| cells::from_json(kind, operand);
    let many = || -> Vec<Plain> {
        let list = operand.as_array().expect("a list");
        list.iter().map(one).collect()
    };
    match operator {
        "eq" => *value == one(operand),
        "ne" => *value != one(operand),
        "lt" => *value < one(operand),
        "lte" => *value <= one(operand),
        "gt" => *value > one(operand),
        "gte" => *value >= one(operand),
        "in" => many().contains(value),
        "not_in" => !many().contains(value),
        "between" => matches!(&many()[..], [low, high] if low <= value && value <= high),
        _ => holds_for_text(value, operator, operand.as_str().expect("a text")),
    }
}

fn holds_for_text(value: &Plain, operator: &str, part: &str) -> bool {
    let Plain::Text(text) = value else {
        panic!("`{operator}` on a number");
    };
    match operator {
        "contains" => text.contains(part),
        "icontains" => text.to_lowercase().contains(&part.to_lowercase()),
        "starts_with" => text.starts_with(part),
        "ends_with" => text.ends_with(part),
        other => panic!("no operator is called `{other}`"),
    }
}

/// Whether each word of the search begins a word in a searchable field of the row.
fn is_found(fields: &[Field], search: &str, row: &Row) -> bool {
    let texts = fields
        .iter()
        .filter(|field| field.is_searchable)
        .filter_map(|field| match row.state(&field.name).value()? {
            Plain::Text(text) => Some(text.as_str()),
            Plain::Number(_) => None,
        });
    let words: Vec<String> = texts.flat_map(words_of).collect();
    let begins_one = |wanted: String| words.iter().any(|word| word.starts_with(&wanted));
    words_of(search).into_iter().all(begins_one)
}

/// Runs of letters and digits, in lower case.
fn words_of(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// How often each value is there, the empties among them as `None`.
pub(crate) fn facet(rows: &[&Row], field: &str) -> BTreeMap<Option<Plain>, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.state(field).value().cloned()).or_default() += 1;
    }
    counts
}

/// The sum of a field of numbers; without one, none.
pub(crate) fn sum(rows: &[&Row], field: &str) -> Option<i128> {
    let numbers = rows
        .iter()
        .filter_map(|row| match row.state(field).value()? {
            Plain::Number(number) => Some(*number),
            Plain::Text(_) => None,
        });
    numbers.reduce(|one, other| one + other)
}

/// The least and the greatest value of a field.
pub(crate) fn extremes(rows: &[&Row], field: &str) -> Option<(Plain, Plain)> {
    let values = || rows.iter().filter_map(|row| row.state(field).value());
    Some((values().min()?.clone(), values().max()?.clone()))
}
