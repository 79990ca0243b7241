// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[derive(State)]`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use forktex_flow::__private::{Reducer, StateError};
use forktex_flow::prelude::*;
use forktex_flow::state::delta::fold;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One field of every kind.
#[derive(State, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Everything {
    org_id: String,
    server_id: Option<String>,
    port: Option<u16>,
    #[serde(rename = "kind")]
    r#type: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    manifest: Value,
    #[reduce(append)]
    logs: Vec<String>,
    #[reduce(append)]
    sizes: VecDeque<u64>,
    #[reduce(union)]
    tags: Vec<String>,
    #[reduce(union)]
    seen: BTreeSet<u8>,
    #[reduce(merge)]
    labels: BTreeMap<String, i32>,
    #[reduce(merge)]
    notes: HashMap<String, String>,
    #[reduce(add)]
    total: i64,
    #[reduce(add)]
    weight: f64,
    #[reduce(max)]
    high: u32,
    #[reduce(min)]
    low: Option<i8>,
    #[reduce(with = keep_longer)]
    longest: String,
}

fn keep_longer(existing: String, new: String) -> String {
    if new.len() > existing.len() {
        new
    } else {
        existing
    }
}

fn begin() -> Everything {
    Everything::from_input(json!({"orgId": "acme", "kind": "web", "high": 1, "longest": ""}))
        .unwrap()
}

#[test]
fn what_the_input_may_leave_out_begins_empty() {
    let state = begin();
    assert_eq!((state.server_id, state.port, state.low), (None, None, None));
    assert!(state.logs.is_empty() && state.seen.is_empty() && state.labels.is_empty());
    assert_eq!(state.total, 0);
    let missing = Everything::from_input(json!({"orgId": "acme"})).unwrap_err();
    assert!(missing.to_string().contains("kind"), "{missing}");
}

#[test]
fn setters_take_what_is_natural() {
    let state = begin()
        .updated(
            Everything::update()
                .org_id("other")
                .server_id("s-1")
                .port(8080)
                .r#type(String::from("worker"))
                .logs(["provisioned"])
                .sizes([1, 2])
                .tags(["a", "b", "a"])
                .seen([3, 3])
                .labels([("x".to_owned(), 1)])
                .total(-3)
                .weight(1.5)
                .high(9)
                .low(-1)
                .longest("abc"),
        )
        .unwrap();
    assert_eq!(
        (state.org_id.as_str(), state.server_id.as_deref()),
        ("other", Some("s-1"))
    );
    assert_eq!((state.port, state.r#type.as_str()), (Some(8080), "worker"));
    assert_eq!(
        (state.logs.len(), state.sizes.len(), state.tags.len()),
        (1, 2, 2)
    );
    assert_eq!((state.total, state.high, state.low), (-3, 9, Some(-1)));
    let state = state
        .updated(
            Everything::update()
                .server_id(None)
                .port(Some(80))
                .longest("a"),
        )
        .unwrap();
    assert_eq!(
        (state.server_id, state.port, state.longest.as_str()),
        (None, Some(80), "abc")
    );
}

#[test]
fn two_calls_of_a_setter_add_up_where_there_is_a_reducer() {
    let update = Everything::update()
        .logs(["a"])
        .logs(["b"])
        .total(1)
        .total(2)
        .high(5)
        .high(3)
        .org_id("first")
        .org_id("last");
    let state = begin().updated(update).unwrap();
    assert_eq!(state.logs, ["a", "b"]);
    assert_eq!(
        (state.total, state.high, state.org_id.as_str()),
        (3, 5, "last")
    );
}

#[test]
fn a_sum_that_does_not_fit_is_an_error() {
    let overflow = Err(StateError::Overflow { field: "total" });
    let twice = Everything::update().total(i64::MAX).total(1);
    assert_eq!(Everything::encode(twice).map(|_| ()), overflow);
    let full = begin()
        .updated(Everything::update().total(i64::MAX))
        .unwrap();
    assert_eq!(
        full.updated(Everything::update().total(1)).map(|_| ()),
        overflow
    );
}

#[test]
fn a_float_that_json_cannot_hold_is_refused() {
    let error = Everything::encode(Everything::update().weight(f64::NAN)).unwrap_err();
    assert!(matches!(error, StateError::Encode { field, .. } if field == "weight"));
}

#[test]
fn the_delta_has_the_names_that_serde_writes() {
    let update = Everything::update()
        .org_id("o")
        .r#type("t")
        .logs(["l"])
        .longest("x");
    let delta = serde_json::to_value(Everything::encode(update).unwrap()).unwrap();
    let expected = json!({
        "set": {"orgId": "o", "kind": "t"},
        "append": {"logs": ["l"]},
        "with": {"longest": "x"},
    });
    assert_eq!(delta, expected);
    let written = serde_json::to_value(Everything::default()).unwrap();
    let mut written: BTreeSet<String> = written.as_object().unwrap().keys().cloned().collect();
    written.insert("manifest".to_owned());
    let names = Everything::SCHEMA
        .fields
        .iter()
        .map(|field| field.name.to_owned());
    assert_eq!(written, names.collect());
}

#[test]
fn the_schema_has_the_types_as_written() {
    let types: BTreeMap<_, _> = Everything::SCHEMA
        .fields
        .iter()
        .map(|field| (field.name, (field.type_name, field.reducer)))
        .collect();
    assert_eq!(types["serverId"], ("Option<String>", Reducer::Set));
    assert_eq!(types["labels"], ("BTreeMap<String, i32>", Reducer::Merge));
    assert_eq!(types["longest"], ("String", Reducer::With));
    assert_eq!(Everything::SCHEMA.name, "Everything");
}

#[test]
fn set_replaces_whatever_the_reducer_is() {
    let mut state = begin()
        .updated(Everything::update().logs(["a"]).longest("long"))
        .unwrap();
    state.apply(Reducer::Set, "logs", json!(["only"])).unwrap();
    state.apply(Reducer::Set, "longest", json!("x")).unwrap();
    assert_eq!(
        (state.logs, state.longest.as_str()),
        (vec!["only".to_owned()], "x")
    );
}

#[test]
fn an_operation_that_does_not_fit_is_named() {
    let mut state = begin();
    let error = state.apply(Reducer::Set, "colour", json!(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "state `Everything` has no field `colour`"
    );
    let error = state
        .apply(Reducer::Set, "port", json!("high"))
        .unwrap_err();
    assert!(matches!(error, StateError::Decode { field, .. } if field == "port"));
    assert!(state.field("colour").is_err());
    assert_eq!(state.field("orgId").unwrap(), json!("acme"));
}

#[test]
fn debug_names_the_fields_and_hides_the_values() {
    let text = format!("{:?}", Everything::update().org_id("secret").total(1));
    assert_eq!(text, r#"EverythingUpdate { changed: ["orgId", "total"] }"#);
}

fn random_update(random: &mut fastrand::Rng) -> EverythingUpdate {
    let mut update = Everything::update();
    for _ in 0..random.u8(1..5) {
        let word = random.alphabetic().to_string();
        let number = random.i8(..);
        update = match random.u8(..14) {
            0 => update.org_id(word),
            1 => update.server_id(random.bool().then_some(word)),
            2 => update.port(random.u16(..)),
            3 => update.manifest(json!({ "word": word, "n": [number, null] })),
            4 => update.logs([word.clone(), word]),
            5 => update.sizes([random.u64(..), 7]),
            6 => update.tags([word, "x".to_owned()]),
            7 => update.seen([random.u8(..9)]),
            8 => update.labels([(word, i32::from(number))]),
            9 => update.notes([(word.clone(), word)]),
            10 => update.total(i64::from(number)),
            11 => update.weight(f64::from(number) / 4.0),
            12 => update.high(random.u32(..)),
            _ => update.low(random.bool().then_some(number)),
        };
    }
    update
}

/// What the worker holds in memory and what anyone folds from the journal are one state.
#[test]
fn a_journal_folds_to_the_state_that_the_steps_saw() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut typed = begin();
        let mut folded = serde_json::to_value(&typed).unwrap();
        for _ in 0..random.u8(1..20) {
            let delta = Everything::encode(random_update(&mut random)).unwrap();
            for (reducer, field, value) in delta.operations() {
                typed.apply(reducer, field, value.clone()).unwrap();
            }
            fold(folded.as_object_mut().unwrap(), &delta).unwrap();
        }
        let folded = Everything::from_input(folded).unwrap();
        assert_eq!(folded, typed, "seed {seed}");
    }
}

/// A field that was empty, and so left out of the stored state, is folded as the typed one is.
#[test]
fn a_union_into_an_absent_field_takes_each_item_once() {
    let delta = Everything::encode(Everything::update().tags(["a", "a"])).unwrap();
    let mut folded = serde_json::Map::new();
    fold(&mut folded, &delta).unwrap();
    assert_eq!(Value::from(folded), json!({"tags": ["a"]}));
}
