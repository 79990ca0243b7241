// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Workflows that tenants define: a platform offers step templates, and each tenant says in JSON what is
//! to happen when a link fails.
//!
//! `tenant_workflows` plays two tenants on a throwaway Postgres. To copy: `templates`, and how `main`
//! answers a definition with faults.

mod templates;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use forktex::flow::prelude::*;
use forktex::flow::{DefinitionError, Limits, StartError};
use forktex_testkit::TestDatabase;
use serde_json::Value;
use tracing_subscriber::EnvFilter;

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
            let _ = writeln!(io::stderr(), "tenant_workflows: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What happens when a link of this tenant fails: all at once, and an alert only if it is needed.
fn careful() -> Value {
    json!({
        "type": "pipeline",
        "steps": [
            "network.probe",
            {"step": "reroute_traffic", "when": {"field": "ok", "is": false}},
            {"step": "send_alert", "when": {"field": "ok", "is": false}},
        ],
        "reducers": {"log": "append"},
    })
}

/// This tenant's people decide within a day; without them the traffic goes another way.
fn patient() -> Value {
    json!({
        "type": "graph",
        "entry": "send_alert",
        "terminal": ["probe", "reroute_traffic"],
        "topology": [
            {"from": "send_alert", "to": "probe", "on": "peer.recovered"},
            {"from": "send_alert", "to": "reroute_traffic", "on": "peer.lost"},
            {"from": "send_alert", "to": "reroute_traffic", "after": "1d"},
        ],
        "reducers": {"log": "append"},
    })
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let flow = Flow::builder(database.owner_url()).build().await?;
    flow.init().await?;
    flow.start_driver().await?;

    for (tenant, config) in [("org-careful", careful()), ("org-patient", patient())] {
        let limits = Limits::none().max_active_runs(10).starts_per_minute(2);
        flow.namespace(tenant).limit(limits).await?;
        flow.define("link_failure")
            .namespace(tenant)
            .config(config)
            .await?;
    }

    let state = json!({"link": "eth0-down"});
    let run = flow
        .run("link_failure")
        .namespace("org-careful")
        .state(state.clone())
        .await?;
    show("org-careful", &run.wait().await?)?;

    let run = flow
        .run("link_failure")
        .namespace("org-patient")
        .state(state.clone())
        .await?;
    run.send_named("peer.lost", json!({"peer": "router-2"}))
        .await?;
    let done = run.wait().await?;
    show("org-patient", &done)?;
    check(
        done.state["peer"] == "router-2",
        "the payload of a signal is in the state",
    )?;

    flow.run("link_failure")
        .namespace("org-careful")
        .state(state.clone())
        .await?;
    let third = flow
        .run("link_failure")
        .namespace("org-careful")
        .state(state)
        .await;
    check(
        matches!(third, Err(StartError::QuotaExceeded { .. })),
        "a third start within the minute is refused",
    )?;

    // What an editor would show beside the text.
    let mut wrong = careful();
    wrong["steps"][1] = json!({"step": "reroute_trafic", "wen": {"field": "ok", "is": false}});
    let refused = flow
        .define("link_failure")
        .namespace("org-careful")
        .version(2)
        .config(wrong);
    let Err(DefinitionError::Invalid { faults, .. }) = refused.await else {
        return Err("a definition with faults was accepted".into());
    };
    for fault in &faults {
        writeln!(io::stdout(), "refused       {fault}")?;
    }
    check(faults.len() == 2, "both faults are told")?;
    flow.close().await?;
    writeln!(io::stdout(), "tenant_workflows: ok")?;
    Ok(())
}

fn show(tenant: &str, run: &Instance) -> io::Result<()> {
    let lines = run.state["log"].as_array().into_iter().flatten();
    for line in lines {
        let line = line.as_str().unwrap_or_default();
        writeln!(io::stdout(), "{tenant:<13} {line}")?;
    }
    writeln!(io::stdout(), "{tenant:<13} {}", run.status)
}

fn check(holds: bool, what: &str) -> Result<(), Box<dyn Error>> {
    if holds {
        Ok(())
    } else {
        Err(format!("it does not hold that {what}").into())
    }
}
