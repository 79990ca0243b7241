// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Definitions without a database: what is accepted, and where each fault is.

use serde_json::{Value, json};

use super::read::{EDGE_KEYS, GRAPH_KEYS, PIPELINE_KEYS, STEP_KEYS};
use super::*;
use crate::compile::compile;
use crate::definition::config::SCHEMA;
use crate::prelude::*;
use crate::state::json::{JsonState, JsonUpdate};

#[step_template("config.test.note")]
#[step]
async fn note(_ctx: &Ctx, _state: &JsonState) -> StepResult<JsonUpdate> {
    Ok(JsonState::update().set("noted", true))
}

#[step_template("config.test.alert")]
#[step]
async fn alert(_ctx: &Ctx, _state: &JsonState) -> StepResult<()> {
    Ok(())
}

fn declared(config: &Value) -> Result<Declaration, Vec<ConfigFault>> {
    let (templates, faults) = Templates::linked();
    assert_eq!(faults, []);
    declare("test", 1, config, &templates)
}

fn pointers(config: &Value) -> Vec<String> {
    let faults = declared(config).expect_err("it is accepted");
    faults.into_iter().map(|fault| fault.pointer).collect()
}

#[test]
fn a_pipeline_and_a_graph_lower_to_what_the_compiler_takes() {
    let pipeline = json!({
        "type": "pipeline",
        "steps": [
            "note",
            {"step": "config.test.alert", "when": {"field": "ok", "is": false}, "max_attempts": 5,
             "backoff": ["10s", "1m"], "timeout": "5m"},
            {"parallel": [{"step": "note", "name": "left"}, {"step": "note", "name": "right"}]},
        ],
        "reducers": {"logs": "append"},
    });
    let compiled = compile(declared(&pipeline).unwrap()).unwrap();
    assert_eq!(compiled.plan.nodes.len(), 4);
    let graph = json!({
        "type": "graph",
        "nodes": {"detect": "note"},
        "topology": [
            {"from": "__START__", "to": "detect"},
            {"from": "detect", "to": "alert", "on": "peer.down"},
            {"from": "detect", "to": "__END__", "after": "7d"},
            {"from": "alert", "to": "detect", "when": {"not": {"field": "tries", "gte": 3}}},
            {"from": "alert", "to": "__END__"},
        ],
        "max_visits": 10,
    });
    let compiled = compile(declared(&graph).unwrap()).unwrap();
    assert_eq!(compiled.plan.nodes.len(), 2);
    let entry = json!({
        "type": "graph", "entry": "note", "terminal": ["alert"],
        "topology": [{"from": "note", "to": "alert", "on": "go"}],
    });
    compile(declared(&entry).unwrap()).unwrap();
}

#[test]
fn c28_every_fault_has_a_pointer_to_where_it_is() {
    let cases = [
        (json!([]), vec![""]),
        (json!({"type": "pipe"}), vec!["/type"]),
        (json!({"type": "pipeline"}), vec!["/steps"]),
        (
            json!({"type": "pipeline", "steps": ["notes"], "step": 1}),
            vec!["/step", "/steps/0"],
        ),
        (
            json!({"type": "pipeline", "steps": [
                {"step": "note", "timeout": "5", "backoff": ["x"], "max_attempts": -1, "wen": {}},
                {"parallel": []},
                {"step": "alert", "when": {"field": "a", "near": 1}},
            ], "reducers": {"a/b": "push"}}),
            vec![
                "/reducers/a~1b",
                "/steps/0/wen",
                "/steps/0/max_attempts",
                "/steps/0/timeout",
                "/steps/0/backoff/0",
                "/steps/1/parallel",
                "/steps/2/when/near",
            ],
        ),
        (
            json!({"type": "pipeline", "steps": ["note", "note"]}),
            vec!["/steps/0"],
        ),
        (
            json!({"type": "pipeline", "steps": [{"step": "note", "max_attempts": 5000}]}),
            vec!["/steps/0"],
        ),
        (
            json!({"type": "graph", "topology": [
                {"from": "__START__", "to": "note"},
                {"from": "note", "to": "nowhere"},
                {"from": "note", "to": "alert", "on": "a", "after": "1d"},
                {"to": "alert"},
            ]}),
            vec!["/topology/2", "/topology/3/from", "/topology/1/to"],
        ),
        (
            // A dead end, an unreachable node, and a wait beside a plain edge.
            json!({"type": "graph", "nodes": {"lost": "note", "end": "alert"}, "topology": [
                {"from": "__START__", "to": "note"},
                {"from": "note", "to": "end"},
                {"from": "lost", "to": "__END__"},
            ]}),
            vec!["/topology/0/to", "/nodes/end", "/nodes/lost"],
        ),
        (
            json!({"type": "graph", "topology": [
                {"from": "__START__", "to": "note"},
                {"from": "note", "to": "__END__"},
                {"from": "note", "to": "alert", "on": "a"},
                {"from": "alert", "to": "__END__"},
            ]}),
            vec!["/topology/2"],
        ),
        (
            json!({"type": "graph", "topology": [
                {"from": "__START__", "to": "note"},
                {"from": "note", "to": "__END__"},
                {"from": "note", "to": "note", "when": {"field": "a", "eq": 1}},
            ]}),
            vec!["/topology/2"],
        ),
    ];
    for (config, expected) in cases {
        let mut found = pointers(&config);
        found.dedup();
        for pointer in expected {
            assert!(
                found.iter().any(|known| known == pointer),
                "{pointer}: {found:?} of {config}"
            );
        }
    }
    let unknown = declared(&json!({"type": "pipeline", "steps": ["config.test.notes"]}));
    let message = unknown.unwrap_err()[0].to_string();
    assert!(
        message.contains("similar name is `config.test.note`"),
        "{message}"
    );
}

#[test]
fn a_definition_is_bounded() {
    let many: Vec<Value> = (0..201)
        .map(|number| json!({"step": "note", "name": format!("n{number}")}))
        .collect();
    assert_eq!(
        pointers(&json!({"type": "pipeline", "steps": many})),
        ["/steps"]
    );
    let large = json!({"type": "pipeline", "steps": ["x".repeat(300_000)]});
    assert_eq!(pointers(&large), [""]);
    let mut deep = json!({"field": "a", "eq": 1});
    for _ in 0..200 {
        deep = json!({ "not": deep });
    }
    let deep = json!({"type": "pipeline", "steps": [{"step": "note", "when": deep}]});
    assert!(pointers(&deep)[0].starts_with("/steps/0/when"));
}

#[test]
fn the_schema_knows_the_keys_that_the_reader_knows() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    for (part, known) in [
        ("pipeline", PIPELINE_KEYS),
        ("graph", GRAPH_KEYS),
        ("options", STEP_KEYS),
        ("edge", EDGE_KEYS),
    ] {
        let properties = schema["$defs"][part]["properties"].as_object().unwrap();
        let mut keys: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut known = known.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known, "{part}");
    }
}
