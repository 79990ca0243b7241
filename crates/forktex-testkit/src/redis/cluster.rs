// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A Redis cluster of three primaries without replicas, whole before it is handed out.

use std::time::Duration;

use super::connection::Connection;
use super::server::Server;
use super::{Redis, RedisOptions};
use crate::error::off_thread;
use crate::{TestkitError, launch, process};

const NODES: u16 = 3;
const SLOTS: u16 = 16_384;
const FORM_LIMIT: Duration = Duration::from_secs(30);

/// Three primaries that share all 16384 slots evenly, in order.
///
/// There are no replicas: the slots of a killed node are down until it is restarted. It then rejoins
/// with the slots that it had, but without its keys.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_testkit::TestkitError> {
/// let cluster = forktex_testkit::RedisCluster::start().await?;
/// assert_eq!(cluster.nodes().len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three servers, and waits until each says that the cluster is whole: some seconds.
    ///
    /// # Errors
    /// Those of [`Redis::start`]; [`TestkitError::Cluster`] when a node refuses;
    /// [`TestkitError::Timeout`] when they do not agree in time.
    ///
    /// # Cancellation
    /// The servers are started all the same, and then stopped.
    pub async fn start() -> Result<Self, TestkitError> {
        off_thread(start).await
    }

    /// The nodes, in the order of their slots.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// A URL that names all nodes: `redis-cluster://host:port?node=host:port&node=host:port`.
    pub fn url(&self) -> String {
        let mut url = String::from("redis-cluster://");
        for (index, node) in self.nodes.iter().enumerate() {
            let separator = ["", "?node=", "&node="][index.min(2)];
            url.push_str(separator);
            url.push_str(&node.address().to_string());
        }
        url
    }
}

fn start() -> Result<RedisCluster, TestkitError> {
    let options = RedisOptions::new()
        .setting("cluster-enabled", "yes")
        .setting("cluster-config-file", "nodes.conf")
        .setting("cluster-node-timeout", "2000");
    let servers: Vec<Server> = (0..NODES)
        .map(|_| Server::start_on_port_of(&options, free_port_with_bus))
        .collect::<Result<_, _>>()?;
    for (server, index) in servers.iter().zip(0..) {
        join(server.port(), index, servers[0].port()).map_err(|source| TestkitError::Cluster {
            port: server.port(),
            source,
        })?;
    }
    let whole = process::wait_until(FORM_LIMIT, || {
        servers.iter().all(|server| is_whole(server.port()))
    });
    if !whole {
        return Err(TestkitError::Timeout {
            server: "the Redis cluster",
            action: "form",
            limit: FORM_LIMIT,
            log_tail: String::new(),
        });
    }
    Ok(RedisCluster {
        nodes: servers.into_iter().map(Redis::of).collect(),
    })
}

/// Gives a node its slots and makes it known to the first one.
fn join(port: u16, index: u16, first_port: u16) -> std::io::Result<()> {
    let mut connection = Connection::open(port)?;
    let bound = |index: u16| u32::from(SLOTS) * u32::from(index) / u32::from(NODES);
    let slots: Vec<String> = (bound(index)..bound(index + 1))
        .map(|slot| slot.to_string())
        .collect();
    let mut add_slots = vec!["CLUSTER", "ADDSLOTS"];
    add_slots.extend(slots.iter().map(String::as_str));
    connection.ask(&add_slots)?;
    // Distinct from the start, so that the nodes need not settle whose view is newer.
    connection.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
    if port != first_port {
        connection.ask(&["CLUSTER", "MEET", "127.0.0.1", &first_port.to_string()])?;
    }
    Ok(())
}

fn is_whole(port: u16) -> bool {
    Connection::open(port)
        .and_then(|mut connection| connection.ask(&["CLUSTER", "INFO"]))
        .is_ok_and(|info| {
            let has = |line: String| info.lines().any(|other| other.trim_end() == line);
            has("cluster_state:ok".to_owned())
                && has(format!("cluster_slots_ok:{SLOTS}"))
                && has(format!("cluster_size:{NODES}"))
                && has(format!("cluster_known_nodes:{NODES}"))
        })
}

/// A node talks to its peers on the port 10000 above its own.
fn free_port_with_bus() -> Result<u16, TestkitError> {
    const ATTEMPTS_MAX: u32 = 200;
    for _ in 0..ATTEMPTS_MAX {
        let port = launch::free_port()?;
        // Below the ephemeral range, like the port itself.
        if port < 22_000 && launch::is_free(port + 10_000) {
            return Ok(port);
        }
    }
    Err(TestkitError::NoFreePort)
}
