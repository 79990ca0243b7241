// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How this process hears of changes: Redis tells of every change under a prefix (`CLIENT TRACKING`
//! with `BCAST`, over RESP3), on a connection to each primary that carries nothing else.
//!
//! A connection that breaks is not mended: all are closed, the tier is emptied, and they are opened
//! anew. So there is no state of which it is not known what was missed. What a broken connection does
//! not show, such as a server that is frozen, is found by a probe.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fred::clients::{Client, Pool};
use fred::error::{Error, ErrorKind};
use fred::interfaces::{
    ClientLike as _, ClusterInterface as _, EventInterface as _, KeysInterface as _,
    TrackingInterface as _,
};
use fred::types::client::Invalidation;
use fred::types::cluster::{ClusterRouting, SlotRange};
use fred::types::config::{Server, ServerConfig, UnresponsiveConfig};
use fred::types::{ConnectHandle, Expiration, RespVersion, Value};
use futures_util::future::{select_all, try_join_all};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Tier, Wanted};

/// How often a connection is probed, and how long its answer may take: together, for how long a change
/// may go unnoticed where the server or the network falls silent.
const PROBE_PERIOD: Duration = Duration::from_millis(500);
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// How long the connections may take to be opened.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The pauses before they are opened anew.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Notices that may pile up. Where more do, the tier is emptied.
const NOTICES_MAX: usize = 4_096;

/// How long the canary outlives its process.
const CANARY_SECONDS: i64 = 60;

/// How many names are tried for a canary that is to live in the slots of a node.
const CANARY_NAMES_MAX: u32 = 1_000_000;

/// Hears of changes for as long as there is the tier.
pub(super) fn spawn(tier: &Arc<Tier>, pool: Pool) {
    let wanted = tier.wanted.subscribe();
    tokio::spawn(supervise(Arc::downgrade(tier), pool, wanted));
}

/// Why changes are not told any more.
enum Ended {
    /// More is to be told of.
    Wanted,
    /// The primaries are others now, or have other slots.
    Moved,
    Failed(Error),
    /// The tier is gone.
    Dropped,
}

async fn supervise(tier: Weak<Tier>, pool: Pool, mut wanted: watch::Receiver<Wanted>) {
    let mut pause = PAUSE_MIN;
    loop {
        let now = wanted.borrow_and_update().clone();
        if now.is_closed {
            return;
        }
        let ended = tokio::select! {
            biased;
            changed = wanted.changed() => match changed {
                Ok(()) => Ended::Wanted,
                Err(_) => Ended::Dropped,
            },
            ended = track(&tier, &pool, &now) => ended,
        };
        let reason = match &ended {
            Ended::Dropped => return,
            Ended::Moved => "moved",
            Ended::Wanted | Ended::Failed(_) => "reconnected",
        };
        let Some(was_live) = tier.upgrade().map(|tier| tier.go_dark(reason)) else {
            return;
        };
        let Ended::Failed(error) = ended else {
            continue;
        };
        if was_live {
            pause = PAUSE_MIN;
            tracing::warn!("the local tier is off until Redis tells of changes again");
        }
        tracing::debug!(%error, "cannot hear of changes; trying again");
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
            () = sleep(pause) => {}
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Connects, and hears of changes until something ends it.
async fn track(tier: &Weak<Tier>, pool: &Pool, wanted: &Wanted) -> Ended {
    let mut nodes = match timeout(START_LIMIT, connect(pool, wanted)).await {
        Ok(Ok(nodes)) if !nodes.is_empty() => nodes,
        Ok(Ok(_)) => return Ended::Failed(unknown("the cluster has no primaries")),
        Ok(Err(error)) => return Ended::Failed(error),
        Err(_) => return Ended::Failed(unknown("the connections took too long")),
    };
    let is_live = match tier.upgrade() {
        Some(tier) => tier.go_live(&wanted.prefixes),
        None => return Ended::Dropped,
    };
    if !is_live {
        return Ended::Wanted;
    }
    let watches = nodes.iter_mut().map(|node| Box::pin(node.watch(tier)));
    let (ended, ..) = select_all(watches).await;
    ended
}

/// Opens a connection to each primary.
async fn connect(pool: &Pool, wanted: &Wanted) -> Result<Vec<Node>, Error> {
    if !pool.is_clustered() {
        let node = Node::connect(pool, wanted, None);
        return Ok(vec![node.await?]);
    }
    let client = pool.next_connected();
    client.sync_cluster().await?;
    let routing = client
        .cached_cluster_state()
        .ok_or_else(|| unknown("the cluster is not known"))?;
    let primaries = routing.unique_primary_nodes();
    try_join_all(
        primaries
            .into_iter()
            .map(|server| Node::connect(pool, wanted, Some((server, &routing)))),
    )
    .await
}

/// A connection to a primary. Dropping it closes it.
struct Node {
    client: Client,
    connection: ConnectHandle,
    notices: Receiver<Invalidation>,
    errors: Receiver<(Error, Option<Server>)>,
    canary: String,
    /// In a cluster, whom it is connected to, and how the slots lie as it sees it.
    place: Option<(Server, Vec<SlotRange>)>,
}

impl Node {
    async fn connect(
        pool: &Pool,
        wanted: &Wanted,
        place: Option<(Server, &ClusterRouting)>,
    ) -> Result<Self, Error> {
        let canary = canary(&wanted.cache_prefix, place.as_ref())?;
        let client = client(pool, place.as_ref().map(|(server, _)| server));
        let (notices, errors) = (client.invalidation_rx(), client.error_rx());
        let connection = client.connect();
        let mut node = Self {
            client,
            connection,
            notices,
            errors,
            canary,
            place: None,
        };
        tokio::select! {
            connected = node.client.wait_for_connect() => connected?,
            _ = &mut node.connection => return Err(unknown("the connection was refused")),
        }
        node.client
            .start_tracking(outermost(&wanted.prefixes), true, false, false, false)
            .await?;
        release(&node.client, &node.canary).await?;
        if let Some((server, _)) = place {
            let slots = slots_of(&node.client, &server).await?;
            node.place = Some((server, slots));
        }
        Ok(node)
    }

    /// Hands on what it is told until something ends it.
    async fn watch(&mut self, tier: &Weak<Tier>) -> Ended {
        let Self {
            client,
            connection,
            notices,
            errors,
            canary,
            place,
        } = self;
        tokio::select! {
            biased;
            _ = connection => Ended::Failed(unknown("the connection ended")),
            error = errors.recv() => Ended::Failed(match error {
                Ok((error, _)) => error,
                Err(_) => unknown("the connection ended"),
            }),
            ended = listen(notices, tier) => ended,
            ended = probe(client, canary, place.as_ref(), tier) => ended,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Hands on notices.
async fn listen(notices: &mut Receiver<Invalidation>, tier: &Weak<Tier>) -> Ended {
    loop {
        let notice = notices.recv().await;
        let Some(tier) = tier.upgrade() else {
            return Ended::Dropped;
        };
        match notice {
            Ok(notice) => notice
                .keys
                .iter()
                .filter_map(|key| key.as_str())
                .for_each(|key| tier.notice(key)),
            Err(RecvError::Lagged(_)) => tier.clear(),
            Err(RecvError::Closed) => return Ended::Failed(unknown("the connection ended")),
        }
    }
}

/// Looks whether the server still answers, and what it does not tell of: that it was emptied as a whole
/// (the driver drops that notice), and that slots moved.
async fn probe(
    client: &Client,
    canary: &str,
    place: Option<&(Server, Vec<SlotRange>)>,
    tier: &Weak<Tier>,
) -> Ended {
    loop {
        sleep(PROBE_PERIOD).await;
        let probed = timeout(PROBE_LIMIT, probe_once(client, canary, place)).await;
        let Some(tier) = tier.upgrade() else {
            return Ended::Dropped;
        };
        match probed {
            Ok(Ok(Probe::Well)) => {}
            Ok(Ok(Probe::Emptied)) => tier.clear(),
            Ok(Ok(Probe::Moved)) => return Ended::Moved,
            Ok(Err(error)) => return Ended::Failed(error),
            Err(_) => return Ended::Failed(unknown("the server is silent")),
        }
    }
}

enum Probe {
    Well,
    Emptied,
    Moved,
}

async fn probe_once(
    client: &Client,
    canary: &str,
    place: Option<&(Server, Vec<SlotRange>)>,
) -> Result<Probe, Error> {
    let lives: i64 = client.expire(canary, CANARY_SECONDS, None).await?;
    if let Some((server, slots)) = place
        && slots_of(client, server).await? != *slots
    {
        return Ok(Probe::Moved);
    }
    if lives == 1 {
        return Ok(Probe::Well);
    }
    release(client, canary).await?;
    Ok(Probe::Emptied)
}

/// Writes the canary: a key that is gone when the server was emptied.
async fn release(client: &Client, canary: &str) -> Result<(), Error> {
    let time = Some(Expiration::EX(CANARY_SECONDS));
    client.set(canary, 1_i64, time, None, false).await
}

/// How the slots lie as the server sees it.
async fn slots_of(client: &Client, server: &Server) -> Result<Vec<SlotRange>, Error> {
    let slots: Value = client.cluster_slots().await?;
    let routing = ClusterRouting::from_cluster_slots(slots, server.host.clone())?;
    Ok(routing.slots().to_vec())
}

/// A client for notices, which breaks rather than mends its connection.
fn client(pool: &Pool, server: Option<&Server>) -> Client {
    let mut config = pool.client_config();
    config.version = RespVersion::RESP3;
    config.fail_fast = true;
    if let Some(server) = server {
        config.server = ServerConfig::Centralized {
            server: server.clone(),
        };
    }
    let mut performance = pool.perf_config();
    performance.broadcast_channel_capacity = NOTICES_MAX;
    let mut connection = pool.connection_config().clone();
    connection.unresponsive = UnresponsiveConfig {
        max_timeout: Some(PROBE_LIMIT),
        interval: PROBE_PERIOD,
    };
    Client::new(config, Some(performance), Some(connection), None)
}

/// The name of a canary, in a slot of the server.
fn canary(cache_prefix: &str, place: Option<&(Server, &ClusterRouting)>) -> Result<String, Error> {
    let name = format!("{cache_prefix}%canary:{:032x}", fastrand::u128(..));
    let Some((server, routing)) = place else {
        return Ok(name);
    };
    (0..CANARY_NAMES_MAX)
        .map(|number| format!("{name}:{number}"))
        .find(|name| routing.get_server(ClusterRouting::hash_key(name.as_bytes())) == Some(server))
        .ok_or_else(|| unknown("the server has no slots"))
}

/// The prefixes of which none begins with another; Redis refuses those that overlap.
fn outermost(prefixes: &BTreeSet<String>) -> Vec<String> {
    let mut outermost: Vec<String> = Vec::new();
    // In order, so that what begins with another comes after it.
    for prefix in prefixes {
        if !outermost
            .last()
            .is_some_and(|last| prefix.starts_with(last))
        {
            outermost.push(prefix.clone());
        }
    }
    outermost
}

fn unknown(what: &'static str) -> Error {
    Error::new(ErrorKind::Unknown, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_that_overlap_are_told_of_once() {
        let prefixes = [
            "user:",
            "org:",
            "user:profile:",
            "user:profile:v2:",
            "users:",
        ];
        let prefixes = prefixes.into_iter().map(str::to_owned).collect();
        assert_eq!(outermost(&prefixes), ["org:", "user:", "users:"]);
    }
}
