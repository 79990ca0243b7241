// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Word that work may have come, over LISTEN and NOTIFY. It saves a second of polling, and is never the
//! truth: what is lost costs time and nothing else.
//!
//! Who puts a job in only says so here; one task sends it, after the job is there and not with it, and
//! many at once as one. The channel has the schema's name.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forktex_db::sqlx::postgres::{PgListener, PgPoolOptions};
use forktex_db::sqlx::{self, SqlStr};
use forktex_db::{Db, DbError, Singly as _};
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// The time between two notices where news are rare, and at most where they come without end.
const TELL_INTERVAL: Duration = Duration::from_millis(1);
const TELL_INTERVAL_MAX: Duration = Duration::from_millis(10);

/// How long listening rests after its connection broke.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// How long a connection to listen on may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Ends its tasks when it is dropped.
#[derive(Debug)]
pub(super) struct Wakes {
    /// Counts; who waits looks whether it has changed.
    count: watch::Sender<u64>,
    is_news: Arc<Notify>,
    is_running: Mutex<Running>,
    stop: CancellationToken,
    db: Db,
    channel: Arc<str>,
    notify: SqlStr,
}

#[derive(Debug, Default)]
struct Running {
    teller: bool,
    listener: bool,
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Wakes {
    pub(super) fn new(db: Db, schema: &str, notify: SqlStr) -> Self {
        Self {
            count: watch::Sender::new(0),
            is_news: Arc::default(),
            is_running: Mutex::default(),
            stop: CancellationToken::new(),
            db,
            channel: schema.into(),
            notify,
        }
    }

    /// Work may have come: tells this process at once, and the others soon. Never waits.
    pub(super) fn tell(&self) {
        self.count
            .send_modify(|count| *count = count.wrapping_add(1));
        self.is_news.notify_one();
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut running = self.running();
        if !std::mem::replace(&mut running.teller, true) {
            let telling = tell_others(
                self.db.clone(),
                self.notify.clone(),
                Arc::clone(&self.channel),
                Arc::clone(&self.is_news),
            );
            self.run(&runtime, telling);
        }
    }

    /// Changes whenever work may have come, to whichever process it was told.
    pub(super) fn receiver(&self) -> watch::Receiver<u64> {
        // A pooler in transaction mode gives nobody a connection to listen on.
        if let (Ok(runtime), false) = (Handle::try_current(), self.db.is_pooled_by_proxy()) {
            let mut running = self.running();
            if !std::mem::replace(&mut running.listener, true) {
                let listening = listen(
                    self.db.clone(),
                    Arc::clone(&self.channel),
                    self.count.clone(),
                );
                self.run(&runtime, listening);
            }
        }
        self.count.subscribe()
    }

    pub(super) fn close(&self) {
        self.stop.cancel();
    }

    fn run(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        runtime.spawn(async move { stop.run_until_cancelled(task).await });
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.is_running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tell_others(db: Db, notify: SqlStr, channel: Arc<str>, is_news: Arc<Notify>) {
    let mut pause = TELL_INTERVAL;
    loop {
        // Each notice takes a lock of the whole database: who has much to tell tells it less often.
        pause = if is_news.notified().now_or_never().is_some() {
            TELL_INTERVAL_MAX.min(2 * pause)
        } else {
            is_news.notified().await;
            TELL_INTERVAL
        };
        let told = sqlx::query(notify.clone())
            .bind(&*channel)
            .single(&db)
            .execute()
            .await;
        if let Err(error) = told {
            tracing::debug!(%error, "other processes were not told of work; polling makes up for it");
        }
        tokio::time::sleep(pause).await;
    }
}

async fn listen(db: Db, channel: Arc<str>, count: watch::Sender<u64>) {
    loop {
        let error = listen_once(&db, &channel, &count).await;
        tracing::debug!(%error, "not listening for work; polling makes up for it");
        tokio::time::sleep(LISTEN_PAUSE).await;
    }
}

/// Listens until it cannot.
async fn listen_once(db: &Db, channel: &str, count: &watch::Sender<u64>) -> DbError {
    let listening = async {
        // A connection of its own: those of the pool are for statements.
        let options = db.pool().connect_options();
        let own = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CONNECT_TIMEOUT)
            .connect_with((*options).clone())
            .await?;
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(channel).await?;
        loop {
            // What was told while nobody listened is made up for, here and where the connection broke.
            count.send_modify(|count| *count = count.wrapping_add(1));
            listener.try_recv().await?;
        }
    };
    let ended: Result<(), sqlx::Error> = listening.await;
    ended.map_or_else(DbError::from, |()| DbError::NotFound)
}
