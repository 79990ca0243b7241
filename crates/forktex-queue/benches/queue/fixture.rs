// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the rows share: the settings of a run, servers, and the job that does nothing.

use std::error::Error;
use std::time::{Duration, Instant};

use forktex_queue::Job;
use forktex_testkit::figure::Output;
use forktex_testkit::{Postgres, PostgresOptions};
use serde::{Deserialize, Serialize};

/// How long what should take seconds may take before the row gives up.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// The job: it does nothing, and its JSON is what a row of the bare loop carries.
#[derive(Job, Clone, Debug, Serialize, Deserialize)]
#[job("bench.mail", queue = "bench")]
pub(crate) struct Mail {
    pub(crate) number: u64,
    pub(crate) to: String,
}

impl Mail {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            to: "somebody@example.com".to_owned(),
        }
    }
}

/// What was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    pub(crate) output: Output,
    /// Small sizes and one round.
    pub(crate) is_quick: bool,
    pub(crate) rounds: Option<usize>,
    pub(crate) jobs: Option<u64>,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            output: Output::Table,
            is_quick: false,
            rounds: None,
            jobs: None,
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

    /// A size: the one that was asked for, the real one, or that of a quick look.
    pub(crate) fn jobs(&self, real: u64, quick: u64) -> u64 {
        self.jobs
            .unwrap_or(if self.is_quick { quick } else { real })
    }
}

/// A server with durability on, on which no checkpoint falls into a round.
pub(crate) async fn postgres() -> Result<Postgres, Box<dyn Error>> {
    let options = PostgresOptions::new()
        .durable()
        .setting("max_wal_size", "8GB")
        .setting("shared_buffers", "512MB")
        .setting("checkpoint_timeout", "1h");
    Ok(Postgres::start(options).await?)
}

/// Looks until something is so, without a pause that would be measured.
pub(crate) async fn until(
    what: &str,
    mut is_so: impl AsyncFnMut() -> Result<bool, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await? {
        if Instant::now() > deadline {
            return Err(format!("{what}: not so after {PATIENCE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
