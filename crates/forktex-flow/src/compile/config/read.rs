// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Reads a definition: what is written where, and every fault of its form.

use std::time::Duration;

use forktex_db::Filter;
use serde_json::{Map, Value};

use crate::definition::binding::Node;
use crate::definition::config::{CONFIG_EDGES_MAX, CONFIG_NODES_MAX, ConfigFault};
use crate::definition::template::{Templates, Unknown};
use crate::definition::topology::{END, EdgeWait, START};
use crate::identifier::nearest;
use crate::state::json::{JsonState, Reducers};
use crate::state::reducer::Reducer;

/// A definition as written.
pub(super) struct Definition {
    pub(super) shape: Shape,
    pub(super) reducers: Reducers,
}

pub(super) enum Shape {
    Pipeline(Vec<Vec<Step>>),
    Graph {
        nodes: Vec<Step>,
        edges: Vec<Edge>,
        max_visits: Option<u32>,
    },
}

/// A node and where it is written.
pub(super) struct Step {
    pub(super) pointer: String,
    pub(super) name: String,
    pub(super) node: Node<JsonState>,
    pub(super) when: Option<Filter<()>>,
}

/// An edge and where it is written.
pub(super) struct Edge {
    pub(super) pointer: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) when: Option<Filter<()>>,
    pub(super) wait: Option<EdgeWait>,
}

/// The operators that a condition may use.
const OPERATORS: &[&str] = &[
    "eq",
    "ne",
    "lt",
    "lte",
    "gt",
    "gte",
    "between",
    "in",
    "not_in",
    "contains",
    "icontains",
    "starts_with",
    "ends_with",
    "is_null",
];

pub(super) const PIPELINE_KEYS: &[&str] = &["type", "steps", "reducers"];
pub(super) const GRAPH_KEYS: &[&str] = &[
    "type",
    "nodes",
    "topology",
    "entry",
    "terminal",
    "max_visits",
    "reducers",
];
pub(super) const STEP_KEYS: &[&str] =
    &["step", "name", "when", "max_attempts", "backoff", "timeout"];
pub(super) const EDGE_KEYS: &[&str] = &["from", "to", "when", "on", "after"];

pub(super) struct Reader<'a> {
    templates: &'a Templates,
    pub(super) faults: Vec<ConfigFault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(templates: &'a Templates) -> Self {
        Self {
            templates,
            faults: Vec::new(),
        }
    }

    fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.faults.push(ConfigFault::new(pointer, message));
    }

    pub(super) fn definition(&mut self, config: &Value) -> Option<Definition> {
        let Some(object) = config.as_object() else {
            self.fault("", "it must be an object with `type`");
            return None;
        };
        let reducers = self.reducers(object.get("reducers"));
        let shape = match object.get("type").and_then(Value::as_str) {
            Some("pipeline") => {
                self.known(object, "", PIPELINE_KEYS);
                self.pipeline(object.get("steps"))?
            }
            Some("graph") => {
                self.known(object, "", GRAPH_KEYS);
                self.graph(object)
            }
            _ => {
                self.fault("/type", "write \"pipeline\" or \"graph\"");
                return None;
            }
        };
        Some(Definition { shape, reducers })
    }

    /// Refuses keys that mean nothing, each with the nearest that does.
    fn known(&mut self, object: &Map<String, Value>, pointer: &str, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&key.as_str())) {
            let near = nearest(key, known.iter().copied());
            let hint = near.map_or_else(
                || format!("it may have {}", known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            let key_pointer = format!("{pointer}/{}", escaped(key));
            self.fault(
                key_pointer,
                format!("`{}` is not known: {hint}", short(key)),
            );
        }
    }

    fn reducers(&mut self, json: Option<&Value>) -> Reducers {
        let mut reducers = Reducers::new();
        let Some(json) = json else { return reducers };
        let Some(object) = json.as_object() else {
            self.fault("/reducers", "it must be an object of fields and reducers");
            return reducers;
        };
        for (field, word) in object {
            let reducer = [
                Reducer::Set,
                Reducer::Append,
                Reducer::Add,
                Reducer::Max,
                Reducer::Min,
                Reducer::Union,
                Reducer::Merge,
            ]
            .into_iter()
            .find(|reducer| word.as_str() == Some(reducer.as_str()));
            match reducer {
                Some(reducer) => {
                    reducers.insert(field.clone(), reducer);
                }
                None => self.fault(
                    format!("/reducers/{}", escaped(field)),
                    "write one of set, append, add, max, min, union, merge",
                ),
            }
        }
        reducers
    }

    fn pipeline(&mut self, steps: Option<&Value>) -> Option<Shape> {
        let Some(steps) = steps
            .and_then(Value::as_array)
            .filter(|steps| !steps.is_empty())
        else {
            self.fault("/steps", "it must be a list of at least one step");
            return None;
        };
        let mut stages = Vec::new();
        for (place, json) in steps.iter().enumerate() {
            let pointer = format!("/steps/{place}");
            let members = json.as_object().and_then(|object| object.get("parallel"));
            let Some(members) = members else {
                stages.push(self.step(json, &pointer, None).into_iter().collect());
                continue;
            };
            if json.as_object().is_some_and(|object| object.len() > 1) {
                self.fault(
                    &pointer,
                    "`parallel` stands alone: give its members options",
                );
            }
            let pointer = format!("{pointer}/parallel");
            let Some(members) = members.as_array().filter(|members| !members.is_empty()) else {
                self.fault(pointer, "it must be a list of at least one step");
                continue;
            };
            let members = members.iter().enumerate().filter_map(|(place, member)| {
                self.step(member, &format!("{pointer}/{place}"), None)
            });
            stages.push(members.collect());
        }
        if stages.iter().map(Vec::len).sum::<usize>() > CONFIG_NODES_MAX {
            self.fault(
                "/steps",
                format!("at most {CONFIG_NODES_MAX} steps are possible"),
            );
        }
        Some(Shape::Pipeline(stages))
    }

    /// A step by its template's name, or with options. A graph's node has its name already.
    fn step(&mut self, json: &Value, pointer: &str, called: Option<&str>) -> Option<Step> {
        let empty = Map::new();
        let (template, template_pointer, options) = match json {
            Value::String(template) => (template, pointer.to_owned(), &empty),
            Value::Object(options) => {
                self.known(options, pointer, STEP_KEYS);
                let Some(template) = options.get("step").and_then(Value::as_str) else {
                    self.fault(
                        format!("{pointer}/step"),
                        "write the name of a step template",
                    );
                    return None;
                };
                (&template.to_owned(), format!("{pointer}/step"), options)
            }
            _ => {
                self.fault(
                    pointer,
                    "write the name of a step template, or {\"step\": ..}",
                );
                return None;
            }
        };
        let name = match (called, options.get("name")) {
            (Some(_), Some(_)) => {
                self.fault(format!("{pointer}/name"), "the key in `nodes` is the name");
                return None;
            }
            (Some(called), None) => called.to_owned(),
            (None, None) => template.clone(),
            (None, Some(name)) => {
                let Some(name) = name.as_str() else {
                    self.fault(format!("{pointer}/name"), "it must be a text");
                    return None;
                };
                name.to_owned()
            }
        };
        let node = self.template(template, &template_pointer)?;
        let node = self.options(node, options, pointer);
        let when = options.get("when");
        let when = when.and_then(|when| self.condition(when, &format!("{pointer}/when")));
        Some(Step {
            pointer: pointer.to_owned(),
            node: node.named(name.clone()),
            name,
            when,
        })
    }

    fn template(&mut self, name: &str, pointer: &str) -> Option<Node<JsonState>> {
        let message = match self.templates.node(name) {
            Ok(node) => return Some(node),
            Err(Unknown::Name(near)) => {
                let near = near.map_or_else(String::new, |near| {
                    format!("; one with a similar name is `{near}`")
                });
                format!("no step template is called `{}`{near}", short(name))
            }
            Err(Unknown::Several(ending)) => format!(
                "several step templates end with `{}`: write one of {}",
                short(name),
                ending.join(", ")
            ),
        };
        self.fault(pointer, message);
        None
    }

    fn options(
        &mut self,
        mut node: Node<JsonState>,
        options: &Map<String, Value>,
        pointer: &str,
    ) -> Node<JsonState> {
        if let Some(attempts) = options.get("max_attempts") {
            match attempts
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
            {
                Some(attempts) => node = node.max_attempts(attempts),
                None => self.fault(
                    format!("{pointer}/max_attempts"),
                    "it must be from 1 to 1000",
                ),
            }
        }
        if let Some(timeout) = options.get("timeout") {
            let pointer = format!("{pointer}/timeout");
            if let Some(timeout) = self.duration(timeout, &pointer) {
                node = node.timeout(timeout);
            }
        }
        if let Some(backoff) = options.get("backoff") {
            let pointer = format!("{pointer}/backoff");
            match backoff.as_array() {
                None => self.fault(pointer, "it must be a list of durations"),
                Some(delays) => {
                    let delays = delays.iter().enumerate().filter_map(|(place, delay)| {
                        self.duration(delay, &format!("{pointer}/{place}"))
                    });
                    node = node.backoff(delays.collect::<Vec<_>>());
                }
            }
        }
        node
    }

    fn duration(&mut self, json: &Value, pointer: &str) -> Option<Duration> {
        let duration = json.as_str().and_then(duration);
        if duration.is_none() {
            self.fault(
                pointer,
                "write a duration, such as \"500ms\", \"10s\", \"5m\", \"2h\" or \"7d\"",
            );
        }
        duration
    }

    /// The filter vocabulary, and `is` for `eq`.
    fn condition(&mut self, json: &Value, pointer: &str) -> Option<Filter<()>> {
        match Filter::<()>::from_json(&with_eq(json, 0)) {
            Ok(filter) => {
                let operators = filter.operators();
                let unfit = operators.iter().find(|word| !OPERATORS.contains(word));
                if let Some(unfit) = unfit {
                    self.fault(pointer, format!("a condition cannot use `{unfit}`"));
                    return None;
                }
                Some(filter)
            }
            Err(error) => {
                self.fault(format!("{pointer}{}", error.path()), error.to_string());
                None
            }
        }
    }

    fn graph(&mut self, object: &Map<String, Value>) -> Shape {
        let edges = self.edges(object);
        let mut nodes = Vec::new();
        let empty = Map::new();
        let given = match object.get("nodes") {
            None => &empty,
            Some(Value::Object(given)) => given,
            Some(_) => {
                self.fault("/nodes", "it must be an object of names and step templates");
                &empty
            }
        };
        for (name, json) in given {
            let pointer = format!("/nodes/{}", escaped(name));
            nodes.extend(self.step(json, &pointer, Some(name)));
        }
        // What `nodes` leaves out is the template of that name.
        let mut named: Vec<(&str, String)> = Vec::new();
        for edge in &edges {
            named.push((&edge.from, format!("{}/from", edge.pointer)));
            named.push((&edge.to, format!("{}/to", edge.pointer)));
        }
        for (name, pointer) in named {
            let is_known = [START, END].contains(&name)
                || given.contains_key(name)
                || nodes.iter().any(|node: &Step| node.name == name);
            if !is_known && let Some(node) = self.template(name, &pointer) {
                nodes.push(Step {
                    pointer,
                    name: name.to_owned(),
                    node: node.named(name),
                    when: None,
                });
            }
        }
        if nodes.len() > CONFIG_NODES_MAX {
            self.fault(
                "/nodes",
                format!("at most {CONFIG_NODES_MAX} nodes are possible"),
            );
        }
        let max_visits = object.get("max_visits").and_then(|json| {
            let number = json.as_u64().and_then(|number| u32::try_from(number).ok());
            if number.is_none() {
                self.fault("/max_visits", "it must be from 1 to 100000");
            }
            number
        });
        Shape::Graph {
            nodes,
            edges,
            max_visits,
        }
    }

    fn edges(&mut self, object: &Map<String, Value>) -> Vec<Edge> {
        let Some(topology) = object.get("topology").and_then(Value::as_array) else {
            self.fault("/topology", "it must be a list of edges");
            return Vec::new();
        };
        if topology.len() > CONFIG_EDGES_MAX {
            self.fault(
                "/topology",
                format!("at most {CONFIG_EDGES_MAX} edges are possible"),
            );
            return Vec::new();
        }
        let mut edges = Vec::new();
        for (place, json) in topology.iter().enumerate() {
            edges.extend(self.edge(json, format!("/topology/{place}")));
        }
        let plain = |pointer: &str, from: &str, to: &str| Edge {
            pointer: pointer.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            when: None,
            wait: None,
        };
        match object.get("entry").map(|entry| entry.as_str()) {
            None => {}
            Some(Some(entry)) => edges.push(plain("/entry", START, entry)),
            Some(None) => self.fault("/entry", "it must be the name of a node"),
        }
        let terminals = match object.get("terminal") {
            None => Vec::new(),
            Some(Value::Array(terminals)) => terminals
                .iter()
                .enumerate()
                .map(|(place, terminal)| (format!("/terminal/{place}"), terminal.as_str()))
                .collect(),
            Some(terminal) => vec![("/terminal".to_owned(), terminal.as_str())],
        };
        for (pointer, terminal) in terminals {
            match terminal {
                Some(terminal) => edges.push(plain(&pointer, terminal, END)),
                None => self.fault(pointer, "it must be the name of a node"),
            }
        }
        edges
    }

    fn edge(&mut self, json: &Value, pointer: String) -> Option<Edge> {
        let Some(object) = json.as_object() else {
            self.fault(pointer, "write an edge: {\"from\": .., \"to\": ..}");
            return None;
        };
        self.known(object, &pointer, EDGE_KEYS);
        let mut end = |word: &str| {
            let name = object.get(word).and_then(Value::as_str);
            if name.is_none() {
                let message = format!("write the name of a node, or {START} or {END}");
                self.fault(format!("{pointer}/{word}"), message);
            }
            name.map(str::to_owned)
        };
        let (from, to) = (end("from"), end("to"));
        let wait = match (object.get("on"), object.get("after")) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.fault(
                    &pointer,
                    "write two edges, one with `on` and one with `after`",
                );
                None
            }
            (Some(signal), None) => {
                let name = signal.as_str();
                if name.is_none() {
                    self.fault(format!("{pointer}/on"), "it must be the name of a signal");
                }
                name.map(|name| EdgeWait::Signal(name.to_owned()))
            }
            (None, Some(after)) => {
                let after = self.duration(after, &format!("{pointer}/after"));
                after.map(EdgeWait::After)
            }
        };
        let when = object.get("when");
        if when.is_some() && wait.is_some() {
            self.fault(
                format!("{pointer}/when"),
                "an edge that waits has no condition",
            );
        }
        let when = when.and_then(|when| self.condition(when, &format!("{pointer}/when")));
        Some(Edge {
            from: from?,
            to: to?,
            pointer,
            when,
            wait,
        })
    }
}

/// A whole number and a unit.
fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let milliseconds: u64 = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// The condition with `eq` where it says `is`. Deeper than a filter may be it is left as it is.
fn with_eq(json: &Value, depth: usize) -> Value {
    match json {
        Value::Object(fields) if depth < 100 => {
            let is_test = fields.contains_key("field");
            let renamed = fields.iter().map(|(key, value)| {
                let key = if is_test && key == "is" { "eq" } else { key };
                let value = if is_test {
                    value.clone()
                } else {
                    with_eq(value, depth + 1)
                };
                (key.to_owned(), value)
            });
            Value::Object(renamed.collect())
        }
        Value::Array(items) if depth < 100 => {
            Value::Array(items.iter().map(|item| with_eq(item, depth + 1)).collect())
        }
        other => other.clone(),
    }
}

/// A step of a JSON pointer.
fn escaped(key: &str) -> String {
    short(key).replace('~', "~0").replace('/', "~1")
}

/// A word of bounded length, for a message.
fn short(word: &str) -> String {
    word.chars().take(100).collect()
}
