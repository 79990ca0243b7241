// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Hears of new work on a connection of its own, opened when the first worker asks.
//!
//! The scripts tell only when a queue was empty, so that a queue under load tells nothing. What is lost
//! while the connection is away is made up for: whoever waits is woken when it is back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forktex_cache::fred::clients::{Pool, SubscriberClient};
use forktex_cache::fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use forktex_cache::fred::types::config::ReconnectPolicy;
use tokio::runtime::Handle;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

/// How long the connection may take to end well.
const GOODBYE: Duration = Duration::from_secs(1);

/// Milliseconds between attempts to connect, where the cache has no policy of its own.
const RECONNECT_MS: (u32, u32) = (100, 2_000);

/// What tells that work may have come.
#[derive(Debug)]
pub(super) struct Wakes {
    channel: String,
    count: watch::Sender<u64>,
    listener: Mutex<Listener>,
}

#[derive(Debug)]
enum Listener {
    Idle,
    /// Ends when this is dropped.
    Running(#[expect(dead_code, reason = "held for its drop")] oneshot::Sender<()>),
    Stopped,
}

impl Wakes {
    pub(super) fn new(channel: String) -> Self {
        Self {
            channel,
            count: watch::Sender::new(0),
            listener: Mutex::new(Listener::Idle),
        }
    }

    /// Changes when work may have come. Outside a runtime it never does, and polling is left.
    pub(super) fn subscribe(&self, pool: &Pool) -> watch::Receiver<u64> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let is_idle = matches!(*listener, Listener::Idle);
        if is_idle && let Ok(runtime) = Handle::try_current() {
            let (stop, stopped) = oneshot::channel();
            let (channel, count) = (self.channel.clone(), self.count.clone());
            runtime.spawn(listen(subscriber(pool), channel, count, stopped));
            *listener = Listener::Running(stop);
        }
        self.count.subscribe()
    }

    pub(super) fn stop(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Listener::Stopped;
    }
}

/// A connection as the pool has them, but one that is tried for until it is there.
fn subscriber(pool: &Pool) -> SubscriberClient {
    let mut config = pool.client_config();
    config.fail_fast = false;
    let policy = pool.client_reconnect_policy().unwrap_or_else(|| {
        let (least, most) = RECONNECT_MS;
        ReconnectPolicy::new_exponential(0, least, most, 2)
    });
    SubscriberClient::new(
        config,
        Some(pool.perf_config()),
        Some(pool.connection_config().clone()),
        Some(policy),
    )
}

async fn listen(
    client: SubscriberClient,
    channel: String,
    count: watch::Sender<u64>,
    mut stopped: oneshot::Receiver<()>,
) {
    let wake = || count.send_modify(|count| *count = count.wrapping_add(1));
    let mut messages = client.message_rx();
    let mut connections = client.reconnect_rx();
    let connection = client.connect();
    loop {
        let is_new_connection = tokio::select! {
            _ = &mut stopped => break,
            connection = connections.recv() => match connection {
                Ok(_) | Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => break,
            },
            message = messages.recv() => match message {
                // Of those that were missed one is as good as all.
                Ok(_) | Err(RecvError::Lagged(_)) => false,
                Err(RecvError::Closed) => break,
            },
        };
        if is_new_connection && let Err(error) = client.subscribe(channel.as_str()).await {
            tracing::warn!(%error, "cannot listen for jobs; workers look for them every second");
        }
        wake();
    }
    // A server that is gone cannot be told.
    let _ = timeout(GOODBYE, client.quit()).await;
    connection.abort();
}
