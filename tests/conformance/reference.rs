// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Random workflows run on the engine and on a small interpreter that shares nothing with it: they end
//! in the same status and state, and with the same record of nodes.
//!
//! `FORKTEX_SEED` repeats a round.

use std::collections::HashMap;

use fastrand::Rng;
use forktex::flow::prelude::*;
use forktex::flow::state::json::{JsonState, JsonUpdate};
use serde_json::Value;

use crate::stage::{Stage, on_both_stores};
use crate::tale::Cast;
use crate::world::ended;

const WORKFLOWS: usize = 120;

/// How many signals of each name are sent before a run begins.
const SIGNALS: u32 = 2;

/// How often a run may come to a node.
const MAX_VISITS: u32 = 4;

/// Notes that it ran. Its name says what it does besides: `flaky` fails at first, `fatal` always, `once`
/// and `nap` make durable calls.
#[step_template("reference.act")]
#[step]
async fn act(ctx: &Ctx, _state: &JsonState) -> StepResult<JsonUpdate> {
    let name = ctx.node().as_str();
    if name.contains("fatal") {
        return Err(StepError::fatal("it always fails"));
    }
    if name.contains("nap") {
        ctx.sleep(std::time::Duration::from_millis(2)).await?;
    }
    let told = if name.contains("once") {
        let block = async { Ok::<_, StepError>(ctx.attempt()) };
        ctx.once("attempt", block).await?
    } else {
        0
    };
    if name.contains("flaky") && ctx.attempt() == 1 {
        return Err(StepError::new("it fails at first"));
    }
    let line = format!("{name} {} {told}", ctx.visit());
    Ok(JsonState::update().set("log", [line]).set("count", 1))
}

/// Makes definitions.
struct Maker {
    random: Rng,
    nodes: usize,
}

impl Maker {
    fn name(&mut self, may_fail: bool) -> String {
        self.nodes += 1;
        let manner = match self.random.u8(0..14) {
            0 | 1 => "-flaky",
            2 => "-once-flaky",
            3 => "-nap",
            4 => "-nap-once",
            5 if may_fail => "-fatal",
            _ => "",
        };
        format!("n{}{manner}", self.nodes)
    }

    fn step(&mut self, may_fail: bool) -> Value {
        let mut step = json!({
            "step": "reference.act", "name": self.name(may_fail), "max_attempts": 2, "backoff": ["1ms"],
        });
        if self.random.u8(0..4) == 0 {
            step["when"] = self.condition();
        }
        step
    }

    fn condition(&mut self) -> Value {
        let count = self.random.u32(0..12);
        let test = match self.random.u8(0..3) {
            0 => json!({"field": "count", "lt": count}),
            1 => json!({"field": "count", "gte": count}),
            _ => json!({"field": "log", "contains": format!("n{} 1 0", count % 5 + 1)}),
        };
        if self.random.bool() {
            test
        } else {
            json!({ "not": test })
        }
    }

    fn pipeline(&mut self) -> Value {
        let steps: Vec<Value> = (0..self.random.usize(1..6))
            .map(|_| {
                if self.random.u8(0..3) == 0 {
                    let members: Vec<Value> = (0..self.random.usize(1..4))
                        .map(|_| self.step(false))
                        .collect();
                    json!({ "parallel": members })
                } else {
                    self.step(true)
                }
            })
            .collect();
        json!({"type": "pipeline", "steps": steps, "reducers": {"log": "append", "count": "add"}})
    }

    /// Each node leads on to the next at the last, so that all are reached and there is an end.
    fn graph(&mut self) -> Value {
        let names: Vec<String> = (0..self.random.usize(1..6))
            .map(|_| self.name(true))
            .collect();
        let nodes: serde_json::Map<String, Value> = names
            .iter()
            .map(|name| {
                let node = json!({
                    "step": "reference.act", "max_attempts": 2, "backoff": ["1ms"],
                });
                (name.clone(), node)
            })
            .collect();
        let mut topology = vec![json!({"from": "__START__", "to": names[0]})];
        for (place, from) in names.iter().enumerate() {
            let next = names.get(place + 1).map_or("__END__", String::as_str);
            let any = |random: &mut Rng| names[random.usize(0..names.len())].clone();
            match self.random.u8(0..4) {
                0 => {
                    let back = any(&mut self.random);
                    topology.push(json!({"from": from, "to": back, "on": format!("go.{place}")}));
                    topology.push(json!({"from": from, "to": next, "after": "1ms"}));
                }
                1 | 2 => {
                    for _ in 0..self.random.usize(0..3) {
                        let (to, when) = (any(&mut self.random), self.condition());
                        topology.push(json!({"from": from, "to": to, "when": when}));
                    }
                    let mut last = json!({"from": from, "to": next});
                    if self.random.u8(0..6) == 0 {
                        last["when"] = self.condition();
                    }
                    topology.push(last);
                }
                _ => topology.push(json!({"from": from, "to": next})),
            }
        }
        json!({
            "type": "graph", "nodes": nodes, "topology": topology, "max_visits": MAX_VISITS,
            "reducers": {"log": "append", "count": "add"},
        })
    }
}

/// What a run comes to.
#[derive(Debug, PartialEq)]
struct Course {
    status: &'static str,
    log: Vec<String>,
    count: u64,
    /// Node, visit, what became of it, attempts; in order of the nodes.
    records: Vec<(String, u32, &'static str, u32)>,
}

/// The interpreter.
struct Reference {
    course: Course,
    visits: HashMap<String, u32>,
    signals: HashMap<String, u32>,
}

impl Reference {
    fn run(config: &Value) -> Course {
        let mut reference = Self {
            course: Course {
                status: "completed",
                log: Vec::new(),
                count: 0,
                records: Vec::new(),
            },
            visits: HashMap::new(),
            signals: HashMap::new(),
        };
        match config["type"].as_str() {
            Some("pipeline") => reference.pipeline(config),
            _ => reference.graph(config),
        }
        reference.course.records.sort();
        reference.course
    }

    fn pipeline(&mut self, config: &Value) {
        for step in config["steps"].as_array().unwrap() {
            let members = step["parallel"].as_array().cloned();
            let members = members.unwrap_or_else(|| vec![step.clone()]);
            // Conditions see the state as it was before any of the members.
            let before = (self.course.log.clone(), self.course.count);
            for member in members {
                let name = member["name"].as_str().unwrap();
                let skips = !member["when"].is_null() && !holds(&member["when"], &before);
                if skips {
                    self.course.records.push((name.to_owned(), 1, "skipped", 0));
                } else if !self.node(name, 1) {
                    return;
                }
            }
        }
    }

    fn graph(&mut self, config: &Value) {
        let topology = config["topology"].as_array().unwrap();
        let mut at = topology[0]["to"].as_str().unwrap().to_owned();
        while at != "__END__" {
            let visit = self.visits.entry(at.clone()).or_default();
            *visit += 1;
            let visit = *visit;
            if visit > MAX_VISITS {
                self.course.status = "failed";
                return;
            }
            if !self.node(&at, visit) {
                return;
            }
            let leaving = topology.iter().filter(|edge| edge["from"] == at.as_str());
            let Some(edge) = self.taken(leaving) else {
                self.course.status = "failed";
                return;
            };
            at = edge["to"].as_str().unwrap().to_owned();
        }
    }

    fn taken<'a>(&mut self, mut leaving: impl Iterator<Item = &'a Value>) -> Option<&'a Value> {
        leaving.find(|edge| {
            if let Some(signal) = edge["on"].as_str() {
                let taken = self.signals.entry(signal.to_owned()).or_default();
                *taken += 1;
                if *taken <= SIGNALS {
                    self.course.log.push(format!("told {signal}"));
                    self.course.count += 2;
                    return true;
                }
                return false;
            }
            let state = (self.course.log.clone(), self.course.count);
            edge["when"].is_null() || holds(&edge["when"], &state)
        })
    }

    /// Returns whether the run goes on.
    fn node(&mut self, name: &str, visit: u32) -> bool {
        if name.contains("fatal") {
            self.course
                .records
                .push((name.to_owned(), visit, "failed", 1));
            self.course.status = "failed";
            return false;
        }
        let attempts = if name.contains("flaky") { 2 } else { 1 };
        let told = u32::from(name.contains("once"));
        self.course.log.push(format!("{name} {visit} {told}"));
        self.course.count += 1;
        let record = (name.to_owned(), visit, "completed", attempts);
        self.course.records.push(record);
        true
    }
}

fn holds(condition: &Value, state: &(Vec<String>, u64)) -> bool {
    if let Some(inner) = condition.get("not") {
        return !holds(inner, state);
    }
    let (log, count) = state;
    if let Some(bound) = condition["lt"].as_u64() {
        *count < bound
    } else if let Some(bound) = condition["gte"].as_u64() {
        *count >= bound
    } else {
        log.iter()
            .any(|line| line == condition["contains"].as_str().unwrap())
    }
}

fn course(run: &Instance) -> Course {
    let log = run.state["log"].as_array().into_iter().flatten();
    let mut records: Vec<(String, u32, &'static str, u32)> = run
        .nodes
        .iter()
        .map(|record| {
            let status = match record.status {
                NodeStatus::Completed => "completed",
                NodeStatus::Skipped => "skipped",
                _ => "failed",
            };
            (
                record.name.to_string(),
                record.visit,
                status,
                record.attempt,
            )
        })
        .collect();
    records.sort();
    Course {
        status: run.status.as_str(),
        log: log.map(|line| line.as_str().unwrap().to_owned()).collect(),
        count: run.state["count"].as_u64().unwrap(),
        records,
    }
}

async fn random_workflows_run_as_the_reference_says(world: &impl Stage) {
    let seed = std::env::var("FORKTEX_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("FORKTEX_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let flow = world.flow(Cast::default()).await;
    let mut runs = Vec::new();
    for number in 0..WORKFLOWS {
        let mut maker = Maker {
            random: random.fork(),
            nodes: 0,
        };
        let config = if number % 3 == 0 {
            maker.pipeline()
        } else {
            maker.graph()
        };
        let name = format!("random.{number}");
        let define = flow
            .define(&name)
            .namespace("reference")
            .config(config.clone());
        if let Err(error) = define.await {
            panic!("{config:#} is refused: {error}");
        }
        let run = flow.run(&name).namespace("reference");
        let run = run.state(json!({"log": [], "count": 0})).await.unwrap();
        // All that is ever told is there before the run begins, so that no clock decides.
        for place in 0..5 {
            let signal = format!("go.{place}");
            for _ in 0..SIGNALS {
                let payload = json!({"log": [format!("told {signal}")], "count": 2});
                run.send_named(&signal, payload).await.unwrap();
            }
        }
        runs.push((config, run));
    }
    flow.start_driver().await.unwrap();
    let (mut completed, mut failed) = (0, 0);
    for (config, run) in &runs {
        let run = ended(run).await;
        assert_eq!(
            course(&run),
            Reference::run(config),
            "FORKTEX_SEED={seed} {config:#}"
        );
        match run.status {
            InstanceStatus::Completed => completed += 1,
            _ => failed += 1,
        }
    }
    // Neither kind of end is left out.
    assert!(
        completed > 10 && failed > 5,
        "{completed} completed, {failed} failed"
    );
    flow.close().await.unwrap();
}

on_both_stores! {
    random_workflows_run_as_the_reference_says,
}
