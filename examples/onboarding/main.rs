// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A state machine: a user who is waited for, and one who never comes.
//!
//! `onboarding` plays both on a throwaway Postgres and draws where each went. To copy: `onboarding`.

mod onboarding;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use forktex::flow::prelude::*;
use forktex::flow::{Sent, SignalError, WaitingOn};
use forktex_testkit::TestDatabase;
use tracing_subscriber::EnvFilter;

use onboarding::{EmailVerified, HurriedOnboarding, Onboarding, Plan, PlanChosen, UserOnboarding};

/// How often a run that is to wait is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const LOOKS_MAX: u32 = 1_500;

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
            let _ = writeln!(io::stderr(), "onboarding: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let flow = Flow::builder(database.owner_url()).build().await?;
    flow.init().await?;
    flow.start_driver().await?;
    follows_the_link(&flow).await?;
    never_comes(&flow).await?;
    flow.close().await?;
    writeln!(io::stdout(), "onboarding: ok")?;
    Ok(())
}

async fn follows_the_link(flow: &Flow) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    let run = flow
        .start(UserOnboarding, user("ann"))
        .idempotency_key("signup-ann")
        .await?;
    // While it waits it is a row: no task, no connection, and nothing that a restart could lose.
    let waiting = until_waiting_for(&run, EmailVerified::NAME).await?;
    writeln!(out, "ann waits: {}", shown(&waiting))?;
    let WaitingOn::Signal { due_at, .. } = waiting else {
        return Err("a signal was to be waited for".into());
    };
    check(due_at.is_some(), "the wait ends after a week")?;

    // A page that is loaded twice sends twice; the key makes one of them.
    let verified = EmailVerified {
        email: "ann@example.org".to_owned(),
    };
    let first = run.send(verified.clone()).idempotency_key("link-1").await?;
    let second = run.send(verified).idempotency_key("link-1").await?;
    writeln!(out, "the link is followed twice: {first:?}, {second:?}")?;
    check(
        (first, second) == (Sent::Accepted, Sent::Duplicate),
        "a signal is sent once under its key",
    )?;

    let waiting = until_waiting_for(&run, PlanChosen::NAME).await?;
    writeln!(out, "ann waits: {}", shown(&waiting))?;
    run.send(PlanChosen { plan: Plan::Team }).await?;
    let done = run.wait().await?;
    writeln!(out, "ann: {}, {:?}", done.status, done.state.plan)?;
    for sent in &done.state.sent {
        writeln!(out, "  sent {sent}")?;
    }
    check(
        done.state.email.as_deref() == Some("ann@example.org")
            && done.state.plan == Some(Plan::Team)
            && done.node("active").is_some(),
        "ann is active, with a plan",
    )?;
    let late = run.send(PlanChosen { plan: Plan::Free }).await;
    let Err(refused @ SignalError::AlreadyTerminal { .. }) = late else {
        return Err(format!("a run that ended takes no signal, but: {late:?}").into());
    };
    writeln!(out, "{refused}")?;
    draw(flow, &done)
}

async fn never_comes(flow: &Flow) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    let done = flow.start(HurriedOnboarding, user("bob")).await?;
    let done = done.wait().await?;
    let left = done
        .node("email_pending")
        .and_then(|record| record.branch.as_deref());
    writeln!(out, "bob: {}, left {}", done.status, left.unwrap_or("-"))?;
    check(
        done.node("expired").is_some() && done.node("active").is_none(),
        "bob has expired",
    )?;
    draw(flow, &done)
}

/// The workflow as Mermaid, with the course of the run in colours.
fn draw(flow: &Flow, done: &Instance<Onboarding>) -> Result<(), Box<dyn Error>> {
    let workflow = flow.workflow(done.workflow_name.as_str())?;
    let drawing = workflow.drawing_of(done).ok_or("it cannot be drawn")?;
    writeln!(io::stdout(), "\n{}", drawing.to_mermaid())?;
    Ok(())
}

fn user(name: &str) -> Onboarding {
    Onboarding {
        user: name.to_owned(),
        email: None,
        plan: None,
        sent: Vec::new(),
    }
}

fn shown(waiting: &WaitingOn) -> String {
    match waiting {
        WaitingOn::Signal {
            names,
            due_at: Some(due_at),
        } => format!("for {} until {due_at}", names.join(", ")),
        WaitingOn::Signal { names, .. } => format!("for {}", names.join(", ")),
        other => format!("{other:?}"),
    }
}

/// Looks until the run waits for the signal; a service would have no need to.
async fn until_waiting_for(
    run: &Run<Onboarding>,
    signal: &str,
) -> Result<WaitingOn, Box<dyn Error>> {
    for _ in 0..LOOKS_MAX {
        let seen = run.refresh().await?.waiting_on;
        if let Some(waiting @ WaitingOn::Signal { names, .. }) = &seen
            && names.iter().any(|name| name == signal)
        {
            return Ok(waiting.clone());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Err(format!("the run does not wait for {signal}").into())
}

/// An example that shows something else than it says must fail.
fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds {
        return Ok(());
    }
    Err(format!("it does not hold that {what}").into())
}
