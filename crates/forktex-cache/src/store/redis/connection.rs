// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The connections, and the one way through which every command goes.
//!
//! A command waits for its answer no longer than the limit, is not queued while the connection is known
//! to be broken, and is not sent twice: a caller is told at once, and decides.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use fred::clients::{Client, Pool, WithOptions};
use fred::error::Error;
use fred::interfaces::{ClientLike as _, ClusterInterface as _};
use fred::types::config::{
    ClusterDiscoveryPolicy, Options, ReconnectError, ReconnectPolicy, Server, TcpConfig,
    UnresponsiveConfig,
};
use fred::types::{Builder, ConnectHandle, FromValue, Value};
use futures_util::future::{join_all, try_join_all};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::command::Command;
use super::{fault, moving};
use crate::breaker::Breaker;
use crate::error::CacheError;
use crate::options::CacheOptions;
use crate::telemetry;
use crate::url::RedisUrl;

/// How long closing waits for answers that are under way.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// A connection that has not answered for so long is opened anew; more where commands may take longer.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// So many commands are sent at once. Even, since some come in pairs.
const PIPELINE_COMMANDS: usize = 1_000;
/// The waits between attempts to connect again: the first, and the longest. There is no last attempt.
const RECONNECT_MS: (u32, u32) = (50, 2_000);

/// The wait before a connection that its driver has given up is opened anew.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Connections to Redis.
pub(crate) struct RedisStore {
    pool: Pool,
    /// What drives the connections, one each. Dropped, they are closed.
    tasks: Vec<Task>,
    /// Of every command.
    options: Options,
    command_timeout: Duration,
    breaker: Breaker,
    is_closed: AtomicBool,
    is_clustered: bool,
    /// `host:port`, for `Debug`.
    servers: String,
}

impl RedisStore {
    /// Opens all connections, and makes sure that the server lets the user in.
    pub(crate) async fn connect(url: RedisUrl, options: &CacheOptions) -> Result<Self, CacheError> {
        const ACTION: &str = "connect";
        let limit = options.connect_timeout;
        let fault = |error| fault::sort(error, ACTION, "", limit);
        let RedisUrl { config, servers } = url;
        let is_clustered = config.server.is_clustered();
        let pool = builder(config, options)
            .build_pool(options.connections)
            .map_err(fault)?;
        let connecting = try_join_all(pool.clients().iter().map(Task::start));
        let tasks = match tokio::time::timeout(limit, connecting).await {
            Ok(tasks) => tasks.map_err(fault)?,
            Err(_) => {
                return Err(CacheError::Timeout {
                    action: ACTION,
                    limit,
                });
            }
        };
        Ok(Self {
            pool,
            tasks,
            options: Options {
                timeout: Some(options.command_timeout),
                fail_fast: true,
                ..Options::default()
            },
            command_timeout: options.command_timeout,
            breaker: Breaker::default(),
            is_closed: AtomicBool::new(false),
            is_clustered,
            servers,
        })
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn is_clustered(&self) -> bool {
        self.is_clustered
    }

    pub(in crate::store) async fn close(&self) {
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        let quits = join_all(self.pool.clients().iter().map(Client::quit));
        // A server that is gone cannot be told.
        let _ = tokio::time::timeout(CLOSE_LIMIT, quits).await;
        for task in &self.tasks {
            task.0.abort();
        }
    }

    /// A connection, with the options of every command.
    pub(super) fn client(&self) -> WithOptions<Client> {
        self.pool.next_connected().with_options(&self.options)
    }

    /// The primaries of a cluster; none where there is no cluster.
    pub(in crate::store) fn primaries(&self) -> Vec<Server> {
        let routing = self.pool.next_connected().cached_cluster_state();
        routing.map_or_else(Vec::new, |routing| routing.unique_primary_nodes())
    }

    /// Sends one command. The driver's future has kilobytes, so it is on the heap: every future around it
    /// would have them as well.
    pub(in crate::store) async fn send<T: FromValue>(
        &self,
        action: &'static str,
        key: &str,
        command: Command,
    ) -> Result<T, CacheError> {
        let work = Box::pin(self.once(command));
        self.call(action, key, work).await
    }

    /// As [`send`](Self::send), with the driver's future in that of the caller: quicker by a tenth of
    /// what this process does for a command.
    pub(super) async fn send_in_place<T: FromValue>(
        &self,
        action: &'static str,
        key: &str,
        command: Command,
    ) -> Result<T, CacheError> {
        let work = pin!(self.once(command));
        self.call(action, key, work).await
    }

    /// Sends one command to this primary of a cluster.
    pub(in crate::store) async fn send_to<T: FromValue>(
        &self,
        primary: Server,
        action: &'static str,
        command: Command,
    ) -> Result<T, CacheError> {
        let options = Options {
            cluster_node: Some(primary),
            ..self.options.clone()
        };
        let client = self.pool.next_connected().with_options(&options);
        let (command, arguments) = command.into_parts();
        let work = Box::pin(client.custom(command, arguments));
        self.call(action, "", work).await
    }

    /// Sends commands at once, up to a limit, and waits for all answers. Those to one server are done in
    /// order.
    pub(in crate::store) async fn send_all(
        &self,
        action: &'static str,
        key: &str,
        commands: Vec<Command>,
    ) -> Result<Vec<Value>, CacheError> {
        let client = self.pool.next_connected();
        let mut answers = Vec::with_capacity(commands.len());
        let mut commands = commands.into_iter().peekable();
        while commands.peek().is_some() {
            let pipeline = client.pipeline().with_options(&self.options);
            let batch = commands
                .by_ref()
                .take(PIPELINE_COMMANDS)
                .collect::<Vec<_>>();
            let again = self.is_clustered.then(|| batch.clone());
            let work = async {
                for command in batch {
                    let (command, arguments) = command.into_parts();
                    pipeline.custom::<(), Value>(command, arguments).await?;
                }
                match (pipeline.all::<Vec<Value>>().await, again) {
                    // All of them may be done twice.
                    (Err(error), Some(again)) if moving::is_of_slot(&error) => {
                        let mut answers = Vec::with_capacity(again.len());
                        for command in again {
                            answers.push(Box::pin(self.once(command)).await?);
                        }
                        Ok(answers)
                    }
                    (answers, _) => answers,
                }
            };
            answers.extend(self.call(action, key, Box::pin(work)).await?);
        }
        Ok(answers)
    }

    /// Sends one command, on a cluster also to where its slot is being moved to.
    async fn once<T: FromValue>(&self, command: Command) -> Result<T, Error> {
        let client = self.client();
        let again = self.is_clustered.then(|| command.clone());
        let (command, arguments) = command.into_parts();
        match (client.custom(command, arguments).await, again) {
            (Err(error), Some(again)) if moving::is_of_slot(&error) => {
                // It is rare, and larger than the rest.
                Box::pin(moving::follow(&client, &self.options, again, error)).await
            }
            (answer, _) => answer,
        }
    }

    /// Makes a call to Redis: through the circuit breaker, and with its error sorted.
    ///
    /// The work comes pinned: what is handed on by value is twice in a future, and has kilobytes.
    pub(super) async fn call<T>(
        &self,
        action: &'static str,
        key: &str,
        work: impl Future<Output = Result<T, Error>> + Unpin,
    ) -> Result<T, CacheError> {
        if self.is_closed.load(Ordering::Acquire) {
            return Err(CacheError::Closed);
        }
        let permit = self.breaker.admit(action)?;
        let span = tracing::debug_span!(
            "redis",
            otel.name = action,
            otel.kind = "client",
            db.system.name = "redis",
        );
        let (error, is_there) = match work.instrument(span).await {
            Ok(answer) => {
                permit.succeeded();
                return Ok(answer);
            }
            Err(_) if self.is_closed.load(Ordering::Acquire) => return Err(CacheError::Closed),
            Err(error) => {
                let is_there = moving::is_of_slot(&error);
                let error = fault::sort(error, action, key, self.command_timeout);
                (error, is_there)
            }
        };
        if error.is_outage() && !is_there {
            permit.failed();
        } else {
            permit.succeeded();
        }
        let kind = match &error {
            CacheError::Timeout { .. } => "timeout",
            error if error.is_outage() => "unavailable",
            // A script that is to be sent again is no failure.
            CacheError::Rejected { code, .. } if code == "NOSCRIPT" => return Err(error),
            _ => "rejected",
        };
        telemetry::command_failed(kind);
        Err(error)
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("servers", &self.servers)
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}

/// What drives a connection; stopped when it is dropped.
struct Task(JoinHandle<()>);

impl Task {
    /// Starts to connect, and waits until the connection stands.
    async fn start(client: &Client) -> Result<Self, Error> {
        let mut connected = pin!(client.wait_for_connect());
        // It listens from its first poll on. What is told before that is lost, so it is polled before
        // there is anything to tell.
        let early = futures_util::poll!(connected.as_mut());
        let driver = Driver(client.connect());
        let task = Self(tokio::spawn(drive(client.clone(), driver)));
        match early {
            Poll::Ready(result) => result?,
            Poll::Pending => connected.await?,
        }
        Ok(task)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The driver's own task; stopped when it is dropped.
struct Driver(ConnectHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the driver's task again where it has ended by itself. It connects again without end, but there
/// are errors, such as those of a cluster that cannot be asked for its slots, which it ends with.
async fn drive(client: Client, mut driver: Driver) {
    loop {
        match (&mut driver.0).await {
            // It was told to.
            Ok(Ok(())) => return,
            Err(error) if error.is_cancelled() => return,
            Ok(Err(_)) | Err(_) => {}
        }
        tokio::time::sleep(RESTART_PAUSE).await;
        tracing::debug!("a connection to Redis is opened anew");
        driver = Driver(client.connect());
    }
}

fn builder(mut config: fred::types::config::Config, options: &CacheOptions) -> Builder {
    if config.server.is_clustered() {
        // The nodes of the URL may have left since. It is refused for single servers alone.
        let _ = config
            .server
            .set_cluster_discovery_policy(ClusterDiscoveryPolicy::UseCache);
    }
    let (first, longest) = RECONNECT_MS;
    let mut builder = Builder::from_config(config);
    builder
        .set_policy(ReconnectPolicy::new_exponential(0, first, longest, 2))
        .with_connection_config(|connection| {
            connection.connection_timeout = options.connect_timeout;
            connection.internal_command_timeout = options.connect_timeout;
            // Fewer than a command has attempts: where those are used up by `ASK`, of which the driver
            // makes nothing (see `moving`), the connection ends for good.
            connection.max_redirections = 2;
            // Of a primary that was demoted, whose connections stay open: where the URL leads to now is
            // to be asked anew.
            connection.reconnect_errors =
                vec![ReconnectError::ReadOnly, ReconnectError::MasterDown];
            connection.tcp = TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            };
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(SILENCE_MAX.max(options.command_timeout * 4)),
                interval: Duration::from_secs(1),
            };
        });
    builder
}
