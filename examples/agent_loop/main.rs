// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An agent loop as a graph: a model that thinks, tools that it calls, and an end to it.
//!
//! `agent_loop` runs it on a throwaway Postgres with a scripted model. To copy: `agent`.
//! With streamed words and a human who approves: `approval_agent`.

mod agent;
mod model;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use forktex::flow::prelude::*;
use forktex_testkit::TestDatabase;
use tracing_subscriber::EnvFilter;

use agent::{Conversation, Converse};
use model::Model;

const QUESTION: &str = "How many people live in Cluj and Iasi together?";

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "agent_loop: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let flow = Flow::builder(database.owner_url())
        .resource(Model)
        .build()
        .await?;
    flow.init().await?;
    flow.start_driver().await?;

    let conversation = Conversation {
        question: QUESTION.to_owned(),
        ..Conversation::default()
    };
    let run = flow
        .start(Converse, conversation)
        .idempotency_key("question-1")
        .await?;
    let done = run.wait().await?;

    let mut out = io::stdout();
    writeln!(out, "{QUESTION}")?;
    for line in &done.state.transcript {
        writeln!(out, "  {line}")?;
    }
    for record in &done.nodes {
        let branch = record.branch.as_deref().unwrap_or("-");
        writeln!(
            out,
            "  {} visit {}: {} after {} attempts, then {branch}",
            record.name, record.visit, record.status, record.attempt
        )?;
    }
    if let Some(drawing) = flow.workflow("agent.converse")?.drawing_of(&done) {
        writeln!(out, "\n{}", drawing.to_mermaid())?;
    }
    let thoughts = done.node("think").map(|record| record.visit);
    flow.close().await?;
    let answer = done.state.answer.as_deref();
    if (answer, thoughts) != (Some("Together 558290 people live there."), Some(4)) {
        return Err(format!("not the expected answer: {answer:?} after {thoughts:?}").into());
    }
    writeln!(out, "agent_loop: ok")?;
    Ok(())
}
