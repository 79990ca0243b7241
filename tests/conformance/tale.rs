// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The workflows under test. One step serves all of them: it writes to the ledger and then does what
//! the test's cast says.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use forktex::db::sqlx::PgPool;
use forktex::flow::VirtualClock;
use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::world::Noted;

#[derive(State, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tale {
    pub(crate) title: String,
    pub(crate) subject: Option<String>,
    #[reduce(append)]
    pub(crate) lines: Vec<String>,
    #[reduce(add)]
    pub(crate) total: i64,
}

pub(crate) fn tale(title: &str) -> Tale {
    Tale {
        title: title.to_owned(),
        subject: None,
        lines: Vec::new(),
        total: 0,
    }
}

type Playing = Pin<Box<dyn Future<Output = StepResult<TaleUpdate>> + Send>>;
type Part = Arc<dyn Fn(Ctx, Tale) -> Playing + Send + Sync>;

/// What each node does; one that is not listed adds its name to the lines.
#[derive(Clone, Default)]
pub(crate) struct Cast(HashMap<&'static str, Part>);

impl Cast {
    pub(crate) fn on<F>(
        mut self,
        node: &'static str,
        part: impl Fn(Ctx, Tale) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = StepResult<TaleUpdate>> + Send + 'static,
    {
        let part: Part = Arc::new(move |ctx, tale| Box::pin(part(ctx, tale)));
        self.0.insert(node, part);
        self
    }

    async fn play(&self, ctx: &Ctx, tale: &Tale) -> StepResult<TaleUpdate> {
        match self.0.get(ctx.node().as_str()) {
            Some(part) => part(ctx.clone(), tale.clone()).await,
            None => line(ctx),
        }
    }
}

/// What a node does by default.
#[expect(clippy::unnecessary_wraps, reason = "it ends a part")]
pub(crate) fn line(ctx: &Ctx) -> StepResult<TaleUpdate> {
    Ok(Tale::update().lines([ctx.node().as_str()]))
}

/// Fails the first attempts, and then does what is done by default.
pub(crate) async fn fail_up_to(attempts: u32, ctx: Ctx) -> StepResult<TaleUpdate> {
    if ctx.attempt() <= attempts {
        return Err(StepError::new(format!("attempt {} fails", ctx.attempt())));
    }
    line(&ctx)
}

/// A table outside the flow: one row for each body that began.
#[derive(Clone)]
pub(crate) struct Ledger {
    rows: Rows,
    pub(crate) worker: String,
}

#[derive(Clone)]
enum Rows {
    Table(PgPool),
    Memory(MemoryRows),
}

/// The ledger of a flow in memory.
#[derive(Clone, Default)]
pub(crate) struct MemoryRows {
    rows: Arc<Mutex<Vec<MemoryRow>>>,
    clock: Arc<OnceLock<VirtualClock>>,
}

#[derive(Clone)]
pub(crate) struct MemoryRow {
    pub(crate) instance: InstanceId,
    pub(crate) noted: Noted,
    pub(crate) at: OffsetDateTime,
}

impl MemoryRows {
    /// The clock that its times go by.
    pub(crate) fn set_clock(&self, clock: VirtualClock) {
        self.clock.get_or_init(|| clock);
    }

    /// The rows of a run.
    pub(crate) fn of(&self, instance: InstanceId) -> Vec<MemoryRow> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = rows.iter().filter(|row| row.instance == instance);
        rows.cloned().collect()
    }

    fn note(&self, instance: InstanceId, noted: Noted) {
        let at = self.clock.get().unwrap().now();
        let row = MemoryRow {
            instance,
            noted,
            at,
        };
        self.rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(row);
    }
}

impl Ledger {
    pub(crate) fn in_table(pool: PgPool, worker: &str) -> Self {
        Self {
            rows: Rows::Table(pool),
            worker: worker.to_owned(),
        }
    }

    pub(crate) fn in_memory(rows: MemoryRows, worker: &str) -> Self {
        Self {
            rows: Rows::Memory(rows),
            worker: worker.to_owned(),
        }
    }

    /// Writes a row, however often the server goes away meanwhile.
    async fn note(&self, ctx: &Ctx) -> StepResult<()> {
        self.note_as(ctx, ctx.node().as_str()).await
    }

    /// As [`note`](Self::note), under another name than the node's.
    pub(crate) async fn note_as(&self, ctx: &Ctx, name: &str) -> StepResult<()> {
        let attempt = i32::try_from(ctx.attempt()).unwrap_or(i32::MAX);
        let pool = match &self.rows {
            Rows::Table(pool) => pool,
            Rows::Memory(rows) => {
                let noted = (name.to_owned(), attempt, self.worker.clone());
                rows.note(ctx.instance_id(), noted);
                return Ok(());
            }
        };
        let mut tries_left = 100;
        loop {
            let written = forktex::db::sqlx::query(
                "INSERT INTO public.ledger (instance, node, attempt, worker) VALUES ($1, $2, $3, $4)",
            )
            .bind(ctx.instance_id().to_string())
            .bind(name)
            .bind(attempt)
            .bind(&self.worker)
            .execute(pool)
            .await;
            match written {
                Ok(_) => return Ok(()),
                Err(error) if tries_left == 0 => return Err(StepError::new(error)),
                Err(_) => tries_left -= 1,
            }
            tokio::time::sleep(super::world::POLL).await;
        }
    }
}

#[step(max_attempts = 3, backoff = ["50ms"])]
pub(crate) async fn act(
    ctx: &Ctx,
    state: &Tale,
    ledger: Resource<Ledger>,
    cast: Resource<Cast>,
) -> StepResult<TaleUpdate> {
    ledger.note(ctx).await?;
    cast.play(ctx, state).await
}

#[pipeline(name = "tale.solo", version = 1, state = Tale, steps = [step(act, name = "only")])]
pub(crate) struct Solo;

#[pipeline(
    name = "tale.pair", version = 1, state = Tale,
    steps = [step(act, name = "first"), step(act, name = "second")],
)]
pub(crate) struct Pair;

#[pipeline(
    name = "tale.stubborn", version = 1, state = Tale,
    steps = [step(act, name = "only", max_attempts = 5, backoff = ["20ms"])],
)]
pub(crate) struct Stubborn;

#[pipeline(
    name = "tale.patient", version = 1, state = Tale,
    steps = [step(act, name = "only", max_attempts = 5, backoff = ["100ms", "300ms"])],
)]
pub(crate) struct Patient;

#[pipeline(
    name = "tale.fragile", version = 1, state = Tale,
    steps = [step(act, name = "only", max_attempts = 2, backoff = ["10ms"])],
)]
pub(crate) struct Fragile;

#[pipeline(
    name = "tale.trio", version = 1, state = Tale,
    steps = [parallel(
        step(act, name = "left"),
        step(act, name = "middle"),
        step(act, name = "right"),
    )],
)]
pub(crate) struct Trio;

#[pipeline(
    name = "tale.options", version = 1, state = Tale,
    steps = [parallel(
        step(act, name = "left", when = |tale| tale.total > 0),
        step(act, name = "middle", max_attempts = 2),
        step(act, name = "right"),
    )],
)]
pub(crate) struct Options;

#[pipeline(
    name = "tale.asking", version = 1, state = Tale,
    steps = [
        step(act, name = "first"),
        step(act, name = "maybe", when = ask),
        step(act, name = "last"),
    ],
)]
pub(crate) struct Asking;

static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The condition of `maybe`: true for a positive total. Counts that it was asked, by title.
fn ask(tale: &Tale) -> bool {
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    asked.push(tale.title.clone());
    tale.total > 0
}

/// How often this process asked the condition about a title.
pub(crate) fn times_asked(title: &str) -> usize {
    let asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    asked.iter().filter(|known| *known == title).count()
}
