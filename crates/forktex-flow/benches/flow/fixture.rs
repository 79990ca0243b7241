// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the rows share: sizes, servers, databases, and starts of many runs.

use std::error::Error;
use std::time::{Duration, Instant};

use forktex_flow::prelude::*;
use forktex_flow::{FlowBuilder, Workflow};
use forktex_testkit::figure::Output;
use forktex_testkit::{Postgres, PostgresOptions, TestDatabase};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

/// How many starts are under way at the same time.
const STARTERS: usize = 512;

/// How long what should take seconds may take before the row gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// The pause between two looks at what gives no event.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// What was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    pub(crate) output: Output,
    /// Small sizes and one round.
    pub(crate) is_quick: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) runs: Option<usize>,
    pub(crate) minutes: u32,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            output: Output::Table,
            is_quick: false,
            rounds: None,
            runs: None,
            minutes: 10,
        }
    }
}

impl Bench {
    pub(crate) fn with_default_rounds(&self, rounds: usize) -> Self {
        let rounds = if self.is_quick { 1 } else { rounds };
        Self {
            rounds: self.rounds.or(Some(rounds)),
            ..*self
        }
    }

    /// The numbers of the rounds.
    pub(crate) fn rounds(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.rounds.unwrap_or(1)
    }

    /// Tells people how far it is.
    pub(crate) fn progress(&self, bench: &str, round: usize, what: &str) {
        let rounds = self.rounds.unwrap_or(1);
        eprintln!("{bench}: round {round} of {rounds}: {what}");
    }

    /// A size: the real one, or that of a quick look.
    pub(crate) fn size<T>(&self, real: T, quick: T) -> T {
        if self.is_quick { quick } else { real }
    }

    /// How many runs of ten steps a round has.
    pub(crate) fn runs_of_ten(&self) -> usize {
        self.runs.unwrap_or_else(|| self.size(40_000, 2_000))
    }
}

/// A server with durability on, and settings of its own beside.
pub(crate) async fn server(settings: &[(&str, &str)]) -> Result<Postgres, Box<dyn Error>> {
    let options = PostgresOptions::new()
        .durable()
        .setting("max_wal_size", "8GB")
        .setting("shared_buffers", "512MB");
    let options = settings.iter().fold(options, |options, (name, value)| {
        options.setting(*name, *value)
    });
    Ok(Postgres::start(options).await?)
}

/// A database with the schema laid.
pub(crate) async fn database(server: &Postgres) -> Result<TestDatabase, Box<dyn Error>> {
    let database = server.create_database().await?;
    let owner = Flow::builder(database.owner_url()).build().await?;
    owner.init().await?;
    owner.close().await?;
    Ok(database)
}

/// The builder of a flow that knows one workflow more than those that are linked.
pub(crate) fn builder<W: Workflow>(url: &str, slots: u32) -> FlowBuilder {
    Flow::builder(url).slots(slots).register::<W>()
}

/// The state of a run that does nothing.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Numbered {
    pub(crate) number: u64,
}

/// Starts runs, many at a time.
pub(crate) async fn start_all<W: Workflow + Copy>(
    flow: &Flow,
    workflow: W,
    states: impl IntoIterator<Item = W::State>,
) -> Result<(), Box<dyn Error>> {
    let starts = futures_util::stream::iter(states).map(|state| {
        let flow = flow.clone();
        async move { flow.start(workflow, state).await.map(drop) }
    });
    let mut starts = starts.buffer_unordered(STARTERS);
    while let Some(started) = starts.next().await {
        started?;
    }
    Ok(())
}

/// The states of so many runs.
pub(crate) fn numbered(runs: usize) -> impl Iterator<Item = Numbered> {
    (0..runs as u64).map(|number| Numbered { number })
}

/// Looks until something is so, for so long at most.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut is_so: impl AsyncFnMut() -> Result<bool, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + limit;
    while !is_so().await? {
        if Instant::now() > deadline {
            return Err(format!("{what}: not so after {limit:?}").into());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
