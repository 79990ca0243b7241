// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One suite, two stores: what a test needs of the place where it plays, which is a real Postgres or
//! the memory of this process.

use std::time::Duration;

use forktex::db::sqlx;
use forktex::flow::prelude::*;
use forktex::flow::{EventKind, FlowBuilder, InMemoryBuilder, InMemoryFlow, InstanceId, Workflow};

use crate::migrate::MIGRATED;
use crate::sealed::Toy;
use crate::tale::{Cast, Ledger, MemoryRows};
use crate::world::{
    ATTEMPT_FAILED, CALLED, COMPLETED, Journalled, Noted, RUN_CANCELLED, RUN_COMPLETED, RUN_FAILED,
    SIGNAL_REFUSED, SIGNALLED, SKIPPED, TIMER_FIRED, World, until,
};

pub(crate) const LIVING: [InstanceStatus; 2] = [InstanceStatus::Pending, InstanceStatus::Running];

pub(crate) const ALL: [InstanceStatus; 5] = [
    InstanceStatus::Pending,
    InstanceStatus::Running,
    InstanceStatus::Completed,
    InstanceStatus::Failed,
    InstanceStatus::Cancelled,
];

/// Where a test plays.
pub(crate) trait Stage {
    fn builder(&self, worker: &str, cast: Cast) -> Builder;

    /// The bodies of a run that began, in order.
    async fn noted(&self, run: InstanceId) -> Vec<Noted>;

    async fn journal(&self, run: InstanceId) -> Vec<Journalled>;

    /// For each failed attempt that is followed by another: its delay, and how long after the record
    /// the next body began, in µs.
    async fn delays(&self, run: InstanceId) -> Vec<(i64, i64)>;

    /// Lets so much time pass for the runs that wait for one.
    async fn pass(&self, hours: u32);

    /// How many runs are in one of these.
    async fn runs_of(&self, statuses: &[InstanceStatus]) -> u64;

    /// What a statement counts, where there are tables to count in.
    async fn rows(&self, sql: &'static str) -> Option<i64>;

    /// How many runs have not ended.
    async fn living(&self) -> u64 {
        self.runs_of(&LIVING).await
    }

    async fn flow(&self, cast: Cast) -> Flow {
        self.builder("worker", cast).build().await
    }

    /// How many entries of a kind the journal of a run has.
    async fn count(&self, run: InstanceId, kind: i16) -> usize {
        let journal = self.journal(run).await;
        journal.iter().filter(|entry| entry.kind == kind).count()
    }

    /// Waits until a body of this node began under this worker.
    async fn until_noted(&self, run: InstanceId, node: &str, worker: &str) {
        until("a body began", async || {
            let noted = self.noted(run).await;
            noted
                .iter()
                .any(|(name, _, by)| name == node && by == worker)
        })
        .await;
    }
}

/// Builds a flow on either store.
pub(crate) enum Builder {
    Postgres(FlowBuilder),
    Memory(InMemoryBuilder),
}

impl Builder {
    pub(crate) fn slots(self, slots: u32) -> Self {
        match self {
            Self::Postgres(builder) => Self::Postgres(builder.slots(slots)),
            Self::Memory(builder) => Self::Memory(builder.slots(slots)),
        }
    }

    /// A worker in memory has none: it is lost when it is gone.
    pub(crate) fn lease(self, lease: Duration) -> Self {
        match self {
            Self::Postgres(builder) => Self::Postgres(builder.lease(lease)),
            Self::Memory(builder) => Self::Memory(builder),
        }
    }

    pub(crate) fn register<W: Workflow>(self) -> Self {
        match self {
            Self::Postgres(builder) => Self::Postgres(builder.register::<W>()),
            Self::Memory(builder) => Self::Memory(builder.register::<W>()),
        }
    }

    pub(crate) async fn build(self) -> Flow {
        match self {
            Self::Postgres(builder) => builder.build().await.unwrap(),
            Self::Memory(builder) => (*builder.build().await.unwrap()).clone(),
        }
    }
}

impl Stage for World {
    fn builder(&self, worker: &str, cast: Cast) -> Builder {
        Builder::Postgres(self.builder(worker, cast))
    }

    async fn noted(&self, run: InstanceId) -> Vec<Noted> {
        self.noted(run).await
    }

    async fn journal(&self, run: InstanceId) -> Vec<Journalled> {
        self.journal(run).await
    }

    async fn delays(&self, run: InstanceId) -> Vec<(i64, i64)> {
        sqlx::query_as(
            "SELECT (journal.payload->>'retry_after_us')::bigint,
                    (extract(epoch FROM ledger.at - journal.recorded_at) * 1000000)::bigint
             FROM forktex_flow.journal
             JOIN public.ledger ON ledger.instance = journal.instance_id::text
                               AND ledger.attempt = journal.attempt + 1
             WHERE journal.instance_id = $1::uuid AND journal.kind = 3
             ORDER BY journal.sequence",
        )
        .bind(run.to_string())
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    async fn runs_of(&self, statuses: &[InstanceStatus]) -> u64 {
        let words: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
        let counted: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM forktex_flow.instance LEFT JOIN forktex_flow.active USING (instance_id)
             WHERE CASE WHEN instance.status = 'pending' AND active.started_at IS NOT NULL
                 THEN 'running' ELSE instance.status END = ANY ($1)",
        )
        .bind(words)
        .fetch_one(&self.pool)
        .await
        .unwrap();
        counted.unsigned_abs()
    }

    async fn rows(&self, sql: &'static str) -> Option<i64> {
        Some(self.number(sql).await)
    }

    /// As if the time had passed already.
    async fn pass(&self, hours: u32) {
        for sql in [
            "UPDATE forktex_flow.active SET wake_at = wake_at - make_interval(hours => $1)",
            "UPDATE forktex_flow.journal
             SET recorded_at = recorded_at - make_interval(hours => $1),
                 payload = CASE WHEN payload #> '{call,answer,until}' IS NULL THEN payload ELSE
                     jsonb_set(payload::jsonb, '{call,answer,until}', to_jsonb(to_char(
                         (payload #>> '{call,answer,until}')::timestamptz AT TIME ZONE 'UTC'
                             - make_interval(hours => $1),
                         'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')))::json END",
        ] {
            sqlx::query(sql)
                .bind(i32::try_from(hours).unwrap())
                .execute(&self.pool)
                .await
                .unwrap();
        }
    }
}

/// A real Postgres on which payloads are sealed.
pub(crate) struct Sealed(World);

impl Sealed {
    pub(crate) async fn create() -> Self {
        Self(World::create().await)
    }
}

impl Stage for Sealed {
    fn builder(&self, worker: &str, cast: Cast) -> Builder {
        let builder = self.0.builder(worker, cast);
        Builder::Postgres(builder.payload_cipher(Toy::default()))
    }

    async fn noted(&self, run: InstanceId) -> Vec<Noted> {
        self.0.noted(run).await
    }

    async fn journal(&self, run: InstanceId) -> Vec<Journalled> {
        self.0.journal(run).await
    }

    async fn delays(&self, run: InstanceId) -> Vec<(i64, i64)> {
        Stage::delays(&self.0, run).await
    }

    async fn pass(&self, hours: u32) {
        Stage::pass(&self.0, hours).await;
    }

    async fn runs_of(&self, statuses: &[InstanceStatus]) -> u64 {
        Stage::runs_of(&self.0, statuses).await
    }

    async fn rows(&self, sql: &'static str) -> Option<i64> {
        Stage::rows(&self.0, sql).await
    }
}

/// Tables in the memory of this process, with a clock of their own.
pub(crate) struct Memory {
    first: InMemoryFlow,
    rows: MemoryRows,
}

impl Memory {
    pub(crate) async fn create() -> Self {
        let rows = MemoryRows::default();
        let first = Flow::in_memory()
            .resource(Ledger::in_memory(rows.clone(), "first"))
            .resource(Cast::default())
            .build()
            .await
            .unwrap();
        rows.set_clock(first.clock());
        Self { first, rows }
    }
}

impl Stage for Memory {
    fn builder(&self, worker: &str, cast: Cast) -> Builder {
        Builder::Memory(
            Flow::in_memory()
                .beside(&self.first)
                .resource(Ledger::in_memory(self.rows.clone(), worker))
                .resource(cast),
        )
    }

    async fn noted(&self, run: InstanceId) -> Vec<Noted> {
        let rows = self.rows.of(run).into_iter();
        rows.map(|row| row.noted).collect()
    }

    async fn journal(&self, run: InstanceId) -> Vec<Journalled> {
        let history = self.first.handle(run).history().await.unwrap();
        history
            .into_iter()
            .map(|event| journalled(&event.kind))
            .collect()
    }

    async fn delays(&self, run: InstanceId) -> Vec<(i64, i64)> {
        let history = self.first.handle(run).history().await.unwrap();
        let rows = self.rows.of(run);
        let failures = history.into_iter().filter_map(|event| match event.kind {
            EventKind::AttemptFailed {
                attempt,
                retry_after: Some(delay),
                ..
            } => Some((event.recorded_at, attempt, delay)),
            _ => None,
        });
        failures
            .filter_map(|(recorded_at, attempt, delay)| {
                let next = i32::try_from(attempt + 1).unwrap();
                let row = rows.iter().find(|row| row.noted.1 == next)?;
                let waited = (row.at - recorded_at).whole_microseconds();
                let delay = i64::try_from(delay.as_micros()).unwrap();
                Some((delay, i64::try_from(waited).unwrap()))
            })
            .collect()
    }

    async fn runs_of(&self, statuses: &[InstanceStatus]) -> u64 {
        let query = self.first.query().status(statuses.iter().copied());
        query.count().await.unwrap()
    }

    async fn rows(&self, _: &'static str) -> Option<i64> {
        None
    }

    async fn pass(&self, hours: u32) {
        self.first
            .clock()
            .advance(Duration::from_hours(hours.into()))
            .await;
    }
}

/// An event as a row of the journal has it, as far as tests look at one.
fn journalled(kind: &EventKind) -> Journalled {
    let row = |kind, node: &str, attempt: u32| Journalled {
        kind,
        node: node.to_owned(),
        attempt: i32::try_from(attempt).unwrap(),
    };
    match kind {
        EventKind::NodeCompleted { node, attempt, .. } => row(COMPLETED, node.as_str(), *attempt),
        EventKind::NodeSkipped { node, .. } => row(SKIPPED, node.as_str(), 0),
        EventKind::AttemptFailed { node, attempt, .. } => {
            row(ATTEMPT_FAILED, node.as_str(), *attempt)
        }
        EventKind::Migrated { .. } => row(MIGRATED, "", 0),
        EventKind::RunCompleted => row(RUN_COMPLETED, "", 0),
        EventKind::RunFailed { .. } => row(RUN_FAILED, "", 0),
        EventKind::RunCancelled { .. } => row(RUN_CANCELLED, "", 0),
        EventKind::Signalled { node, .. } => row(SIGNALLED, node.as_str(), 0),
        EventKind::SignalRefused { node, .. } => row(SIGNAL_REFUSED, node.as_str(), 0),
        EventKind::TimerFired { node, .. } => row(TIMER_FIRED, node.as_str(), 0),
        EventKind::Called { node, .. } | EventKind::Emitted { node, .. } => {
            row(CALLED, node.as_str(), 0)
        }
        // No test counts the others.
        _ => row(0, "", 0),
    }
}

/// Makes two tests of each function: one on Postgres, and one in memory.
macro_rules! on_both_stores {
    ($($case:ident),+ $(,)?) => {
        mod on_postgres {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(&crate::world::World::create().await).await;
                }
            )+
        }

        mod in_memory {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(&crate::stage::Memory::create().await).await;
                }
            )+
        }
    };
}
pub(crate) use on_both_stores;

/// Makes three tests of each function: as above, and on a Postgres on which payloads are sealed.
macro_rules! on_both_stores_and_sealed {
    ($($case:ident),+ $(,)?) => {
        on_both_stores! { $($case),+ }

        mod sealed {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(&crate::stage::Sealed::create().await).await;
                }
            )+
        }
    };
}
pub(crate) use on_both_stores_and_sealed;
