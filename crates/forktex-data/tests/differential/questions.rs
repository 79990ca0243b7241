// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Random questions about rows: filters of every operator on every kind, nested; orders; searches.

use fastrand::Rng;
use serde_json::{Value as Json, json};

use crate::cells::{self, Field, Kind};
use crate::evaluator::Question;

/// How deep filters nest.
const DEPTH_MAX: u32 = 4;

/// Parts of texts, most of them of the pool that values come from.
const PARTS: [&str; 16] = [
    "", "a", "A", "b", "B", "ab", "00", "%", "_", "\\", "'", "\"", "日", " ", "Ä", "ä",
];

const SEARCHES: [&str; 8] = ["a", "A b", "100", "1", "z", "nothing", "日", "b a"];

pub(crate) fn question(random: &mut Rng, fields: &[Field]) -> Question {
    let filter = (random.u8(..5) > 0).then(|| filter(random, fields, 0));
    let can_search = fields.iter().any(|field| field.is_searchable);
    let search = (can_search && random.u8(..4) == 0)
        .then(|| SEARCHES[random.usize(..SEARCHES.len())].to_owned());
    Question {
        filter,
        order_by: order(random, fields),
        search,
    }
}

/// None to three keys, none of them twice.
fn order(random: &mut Rng, fields: &[Field]) -> Vec<String> {
    let mut names: Vec<String> = fields.iter().map(|field| field.name.clone()).collect();
    names.push("id".to_owned());
    random.shuffle(&mut names);
    names.truncate(random.usize(..=3));
    let directed = |name: String| {
        if random.bool() {
            format!("-{name}")
        } else {
            name
        }
    };
    names.into_iter().map(directed).collect()
}

fn filter(random: &mut Rng, fields: &[Field], depth: u32) -> Json {
    let members = |random: &mut Rng| -> Vec<Json> {
        let count = random.usize(..=3);
        (0..count)
            .map(|_| filter(random, fields, depth + 1))
            .collect()
    };
    match random.u8(..8) {
        0 if depth < DEPTH_MAX => json!({"and": members(random)}),
        1 | 2 if depth < DEPTH_MAX => json!({"or": members(random)}),
        3 if depth < DEPTH_MAX => json!({"not": filter(random, fields, depth + 1)}),
        _ => comparison(random, fields),
    }
}

fn comparison(random: &mut Rng, fields: &[Field]) -> Json {
    let field = &fields[random.usize(..fields.len())];
    let mut words = vec![
        "eq",
        "ne",
        "in",
        "not_in",
        "is_empty",
        "is_null",
        "is_absent",
    ];
    if field.kind.is_ordered() {
        words.extend(["lt", "lte", "gt", "gte", "between"]);
    }
    if field.kind == Kind::Text {
        words.extend(["contains", "icontains", "starts_with", "ends_with"]);
    }
    let word = words[random.usize(..words.len())];
    let mut value = || cells::to_json(field.kind, &cells::value(random, field.kind));
    let operand = match word {
        "in" | "not_in" => Json::Array((0..3).map(|_| value()).collect()),
        "between" => json!([value(), value()]),
        "is_empty" | "is_null" | "is_absent" => json!(random.bool()),
        "contains" | "icontains" | "starts_with" | "ends_with" => {
            json!(PARTS[random.usize(..PARTS.len())])
        }
        _ => value(),
    };
    json!({"field": field.name, word: operand})
}
