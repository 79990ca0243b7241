// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A backup each night, by the clock of Berlin.
//!
//! `scheduled_backup` shows the schedule on a throwaway Postgres, disables and enables it as an operator
//! would, and fires it once rather than wait for the night. To copy: `backup`.

mod backup;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use forktex::flow::prelude::*;
use forktex_testkit::TestDatabase;
use tracing_subscriber::EnvFilter;

use backup::{Backup, BackupCreate, Shelf};

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
            let _ = writeln!(io::stderr(), "scheduled_backup: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let shelf = Arc::new(Shelf::default());
    let flow = Flow::builder(database.owner_url())
        .shared_resource(Arc::clone(&shelf))
        .build()
        .await?;
    flow.init().await?;
    flow.start_driver().await?;
    let mut out = io::stdout();

    for schedule in flow.schedules().await? {
        let (name, cron, timezone) = (schedule.workflow_name, schedule.cron, schedule.timezone);
        let next = schedule.next_fire_at.ok_or("it never fires")?;
        writeln!(
            out,
            "{name} fires at `{cron}` of {timezone}, next at {next}"
        )?;
    }

    let schedule = flow.schedule("cloud.backup.create");
    schedule.disable().await?;
    let is_off = schedule.info().await?.next_fire_at.is_none();
    // By hand it fires all the same.
    let fired = schedule.fire_now().await?.wait().await?;
    schedule.enable().await?;
    let info = schedule.info().await?;
    writeln!(out, "fired by {}: {}", fired.triggered_by, fired.status)?;

    let by_hand = Backup {
        database: "ledger".to_owned(),
        key: None,
    };
    let started = flow.start(BackupCreate, by_hand).await?.wait().await?;
    for key in shelf.keys() {
        writeln!(out, "kept {key}")?;
    }
    let kept = shelf.keys();
    let is_kept = kept.len() == 2 && started.state.key.as_ref() == kept.last();
    if !is_off || !info.enabled || info.last_instance_id != Some(fired.instance_id) || !is_kept {
        return Err(format!("not as expected: {info:?}, {kept:?}").into());
    }
    flow.close().await?;
    writeln!(out, "scheduled_backup: ok")?;
    Ok(())
}
