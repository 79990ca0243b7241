// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An agent whose words are streamed as they come, and who needs a human for what cannot be taken back.
//!
//! `approval_agent` plays three conversations on a throwaway Postgres with a scripted model: the human
//! approves, never comes, or the customer goes away. To copy: `agent`. A simpler one: `agent_loop`.

mod agent;
mod model;
mod shop;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use forktex::flow::EventKind;
use forktex::flow::prelude::*;
use forktex_testkit::TestDatabase;
use futures_util::StreamExt as _;
use tracing_subscriber::EnvFilter;

use agent::{Approved, Conversation, Decision, Support, Told};
use model::Model;
use shop::Shop;

/// How long a human has to decide; a service would give days.
const PATIENCE: Duration = Duration::from_hours(24);

/// The same for the human who is not to come, so that the example need not wait for a day.
const IMPATIENCE: Duration = Duration::from_millis(300);

/// What happens once the agent has asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Human {
    Approves,
    NeverComes,
    /// The customer, for once.
    Cancels,
}

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
            let _ = writeln!(io::stderr(), "approval_agent: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let shop = Arc::new(Shop::default());
    let flow = Flow::builder(database.owner_url())
        .resource(Model)
        .shared_resource(Arc::clone(&shop))
        .build()
        .await?;
    flow.init().await?;
    flow.start_driver().await?;

    let done = converse(&flow, 17, PATIENCE, Human::Approves).await?;
    let approved = Decision::ApprovedBy("ann".to_owned());
    check(
        done.status == InstanceStatus::Completed
            && done.state.decision == Some(approved)
            && shop.refunds() == 1,
        "the money is given back once",
    )?;
    let done = converse(&flow, 18, IMPATIENCE, Human::NeverComes).await?;
    check(
        done.status == InstanceStatus::Completed
            && done.state.decision == Some(Decision::NobodyCame)
            && shop.refunds() == 1,
        "nothing is given back without a human",
    )?;
    let done = converse(&flow, 19, PATIENCE, Human::Cancels).await?;
    check(
        done.status == InstanceStatus::Cancelled && done.state.decision.is_none(),
        "a conversation that is cancelled ends where it waits",
    )?;
    flow.close().await?;
    writeln!(io::stdout(), "approval_agent: ok")?;
    Ok(())
}

async fn converse(
    flow: &Flow,
    order: u32,
    patience: Duration,
    human: Human,
) -> Result<Instance<Conversation>, Box<dyn Error>> {
    let conversation = Conversation {
        question: format!("I want my money back for order {order}."),
        order,
        patience,
        transcript: Vec::new(),
        intent: None,
        cents: None,
        decision: None,
        receipt: None,
    };
    writeln!(io::stdout(), "> {}", conversation.question)?;
    let run = flow.start(Support, conversation).await?;
    let words = follow(&run, human).await?;
    let done = run.wait().await?;
    let said: Vec<&str> = done
        .state
        .transcript
        .iter()
        .filter_map(|line| line.strip_prefix("model: "))
        .collect();
    check(
        words == said.join(" "),
        "the words that were streamed are those that are kept",
    )?;
    Ok(done)
}

/// Shows what is told, to the end of the run, and plays the human. Returns the words of the model.
async fn follow(run: &Run<Conversation>, human: Human) -> Result<String, Box<dyn Error>> {
    let mut out = io::stdout();
    let (mut words, mut thought) = (Vec::new(), Vec::new());
    let mut current_attempt = 1;
    let mut events = run.stream();
    while let Some(event) = events.next().await {
        let event = event?;
        match &event.kind {
            EventKind::Emitted { value, .. } => match serde_json::from_value(value.clone())? {
                Told::Word { attempt, text } => {
                    if attempt != current_attempt {
                        current_attempt = attempt;
                        thought.clear();
                    }
                    write!(out, "{text} ")?;
                    out.flush()?;
                    thought.push(text);
                }
                Told::Question { text } => {
                    writeln!(out, "  [asked of a human: {text}]")?;
                    act(run, human).await?;
                }
            },
            EventKind::AttemptFailed { failure, .. } => writeln!(out, "... [{failure}]")?,
            EventKind::NodeCompleted { node, .. } => {
                if node.as_str() == "think" {
                    words.append(&mut thought);
                    current_attempt = 1;
                    writeln!(out)?;
                } else {
                    writeln!(out, "  [{node} is done]")?;
                }
            }
            _ if event.is_terminal() => writeln!(out, "  [{}]\n", event.name())?,
            _ => {}
        }
    }
    Ok(words.join(" "))
}

async fn act(run: &Run<Conversation>, human: Human) -> Result<(), FlowError> {
    match human {
        Human::Approves => {
            let by = "ann".to_owned();
            run.send(Approved { by }).idempotency_key("click-1").await?;
        }
        Human::NeverComes => {}
        Human::Cancels => run.cancel("the customer keeps it").await?,
    }
    Ok(())
}

/// An example that shows something else than it says must fail.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds {
        return Ok(());
    }
    Err(format!("it does not hold that {what}").into())
}
