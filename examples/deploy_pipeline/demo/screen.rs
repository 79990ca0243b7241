// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is seen: one line for each change, in columns. Colours on a terminal only.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use forktex::flow::{Instance, NodeRecord};
use time::OffsetDateTime;

use crate::deploy::DeployState;
use crate::error::Error;

/// What has become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Done,
    Skipped,
    Failed,
    Retried,
    TakenOver,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::TakenOver => "taken over",
        }
    }

    fn colour(self) -> Colour {
        match self {
            Self::Running => Colour::Cyan,
            Self::Done => Colour::Green,
            Self::Skipped => Colour::Grey,
            Self::Failed => Colour::Red,
            Self::Retried => Colour::Yellow,
            Self::TakenOver => Colour::Magenta,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Colour {
    Bold = 1,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Magenta = 35,
    Cyan = 36,
    Grey = 90,
}

/// A change.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) at: OffsetDateTime,
    pub(super) node: String,
    pub(super) attempt: Option<u32>,
    pub(super) state: State,
    pub(super) process_id: Option<u32>,
    pub(super) remark: String,
}

/// The terminal, or the file in its place.
pub(super) struct Screen {
    output: io::Stdout,
    is_terminal: bool,
    began: Option<OffsetDateTime>,
    /// The processes of the workers, in order.
    workers: Vec<u32>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let output = io::stdout();
        Self {
            is_terminal: output.is_terminal(),
            output,
            began: None,
            workers: Vec::new(),
        }
    }

    /// A line as it is.
    pub(super) fn say(&self, text: &str) -> Result<(), Error> {
        let mut output = self.output.lock();
        writeln!(output, "{text}")?;
        Ok(output.flush()?)
    }

    /// What the demo itself does.
    pub(super) fn note(&self, text: &str) -> Result<(), Error> {
        self.say(&format!("demo: {text}"))
    }

    /// What happens to a worker, in the midst of the table.
    pub(super) fn interrupt(&self, text: &str) -> Result<(), Error> {
        self.say(&self.paint(Colour::Bold, &format!("  ----  {text}")))
    }

    /// The head of the table of changes; times count from `began`.
    pub(super) fn begin_table(&mut self, began: OffsetDateTime) -> Result<(), Error> {
        self.began = Some(began);
        let head = row("time", "node", "attempt", "state", "worker", "");
        self.say(&format!("\n{}", self.paint(Colour::Bold, &head)))
    }

    /// Lets the lines of that process name it.
    pub(super) fn add_worker(&mut self, process_id: u32) {
        self.workers.push(process_id);
    }

    /// A row of the table of changes.
    pub(super) fn line(&self, line: &Line) -> Result<(), Error> {
        let elapsed = line.at - self.began.unwrap_or(line.at);
        let worker = line.process_id.map(|id| {
            let number = self.workers.iter().position(|known| *known == id);
            number.map_or_else(
                || format!("pid {id}"),
                |position| format!("{} (pid {id})", position + 1),
            )
        });
        let text = row(
            &format!("{:.2}s", elapsed.as_seconds_f64()),
            &line.node,
            &dash(line.attempt),
            line.state.word(),
            &dash(worker),
            &line.remark,
        );
        self.say(&self.paint(line.state.colour(), &text))
    }

    /// The record of a run: what the library itself tells of it.
    pub(super) fn record(&self, run: &Instance<DeployState>) -> Result<(), Error> {
        let head = format!(
            "{:<12} {:<10} {:<9} {:<9} what changed",
            "node", "status", "attempts", "duration"
        );
        self.say(&format!(
            "\nthe record of run {}: {}",
            run.instance_id, run.status
        ))?;
        self.say(&self.paint(Colour::Bold, &head))?;
        for node in &run.nodes {
            let text = format!(
                "{:<12} {:<10} {:<9} {:<9} {}",
                node.name.as_str(),
                node.status.to_string(),
                node.attempt,
                format!("{:.2}s", node.duration.as_secs_f64()),
                changes(node),
            );
            self.say(text.trim_end())?;
        }
        self.say("")
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.is_terminal {
            return format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8);
        }
        text.to_owned()
    }
}

fn row(time: &str, node: &str, attempt: &str, state: &str, worker: &str, remark: &str) -> String {
    let text = format!("{time:>7}  {node:<12} {attempt:<8} {state:<11} {worker:<16} {remark}");
    text.trim_end().to_owned()
}

fn dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The update of a node, such as `set server_id "srv-1", append logs ["made srv-1"]`.
fn changes(node: &NodeRecord) -> String {
    let Some(delta) = &node.delta else {
        return String::new();
    };
    let texts = delta
        .operations()
        .map(|(reducer, field, value)| format!("{} {field} {value}", reducer.as_str()));
    texts.collect::<Vec<_>>().join(", ")
}
