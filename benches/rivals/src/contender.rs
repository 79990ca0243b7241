// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What every engine is asked to do, and the list of them. How each does it, by the advice of its own
//! documentation, is in a file of its own.

use std::error::Error;

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};

use crate::child::{self, Order};

/// What fails here is told to a person and ends the program, or strikes a rival off the list.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The steps of a run.
pub(crate) const STEPS: u64 = 10;

/// An engine with its schema laid, connected and at work.
pub(crate) trait Contender: Sized {
    /// What is known of it before it runs.
    const FACTS: Facts;

    /// Lays its schema.
    async fn lay(url: &str) -> Outcome<()>;

    /// Connects, and starts what does the work.
    async fn launch(url: &str, work: Work, settings: Settings) -> Outcome<Self>;

    /// Does `runs` runs of ten steps, from the first start to the last end.
    async fn many(&self, runs: u64) -> Outcome<()>;

    /// Does one run of ten steps. It may return before the last write of the run; see [`Facts::open`].
    async fn one(&self, number: u64) -> Outcome<()>;
}

/// What an engine is launched for; some have a setting that helps one and harms the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// As many steps a second as it can.
    Many,
    /// One run at a time, as quick as it can.
    Alone,
}

/// What was tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Connections of its pool.
    pub(crate) connections: u32,
    /// How many runs or steps are under way at the same time.
    pub(crate) at_once: usize,
}

/// What is known of an engine before it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The name that `--only` takes.
    pub(crate) name: &'static str,
    /// The packages whose versions are printed.
    pub(crate) packages: &'static [&'static str],
    /// Whether a step that is done stays done when its process is killed before the next one.
    pub(crate) steps: Steps,
    /// What is durable after each step, in its own words where it has them.
    pub(crate) durable: &'static str,
    /// The settings found best.
    pub(crate) settings: Settings,
    /// SQL: how many runs are not over.
    pub(crate) open: &'static str,
    /// How its own tables show that the work was done.
    pub(crate) evidence: Evidence,
}

/// What becomes of a step that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// It is recorded, and not done again.
    Durable,
    /// It is a job of a chain: done at least once, its result not kept, and the next one enqueued apart
    /// from its end.
    Chained,
}

/// How an engine's tables show that the work was done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Evidence {
    /// SQL: the runs that completed, and the steps recorded, of which there must be so many a run.
    Kept { sql: &'static str, steps_a_run: u64 },
    /// It deletes what is done: SQL that counts what is left, which must be nothing.
    NothingLeft { sql: &'static str },
}

/// An engine that can be asked.
pub(crate) struct Entry {
    pub(crate) facts: Facts,
    /// Obeys an order, in a process of its own.
    pub(crate) obey: fn(Order) -> LocalBoxFuture<'static, Outcome<()>>,
}

fn entry<C: Contender + 'static>() -> Entry {
    Entry {
        facts: C::FACTS,
        obey: |order| Box::pin(child::obey::<C>(order)),
    }
}

/// Ours.
pub(crate) fn ours() -> Entry {
    entry::<crate::ours::Ours>()
}

/// The others, those with durable steps first.
pub(crate) fn rivals() -> Vec<Entry> {
    vec![
        entry::<crate::durare::Durare>(),
        entry::<crate::dbos::Dbos>(),
        entry::<crate::underway::Underway>(),
        #[cfg(feature = "duroxide")]
        entry::<crate::duroxide::Duroxide>(),
        entry::<crate::sayiir::Sayiir>(),
        entry::<crate::apalis::Apalis>(),
        entry::<crate::graphile_worker::GraphileWorker>(),
    ]
}

/// The rivals that this program was built without, each with the reason.
pub(crate) const LEFT_OUT: &[(&str, &str)] = if cfg!(feature = "duroxide") {
    &[]
} else {
    &[(
        "duroxide-pg",
        "not built: it needs OpenSSL's headers; on Debian type: apt-get install -y libssl-dev pkg-config",
    )]
};

/// The version of a package, as the lock file has it.
pub(crate) fn version(package: &str) -> &'static str {
    const LOCK: &str = include_str!("../Cargo.lock");
    let mut lines = LOCK.lines();
    let name = format!("name = \"{package}\"");
    lines
        .find(|line| *line == name)
        .and_then(|_| lines.next())
        .and_then(|line| line.strip_prefix("version = \""))
        .map_or("?", |rest| rest.trim_end_matches('"'))
}
