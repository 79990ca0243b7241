// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A TCP proxy that a test puts before a server, to hurt the connection rather than the server.
//!
//! It understands just enough of the Postgres protocol to find a `COMMIT`. It does not see through
//! TLS.

mod commit_finder;
mod connection;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::TestkitError;
use crate::url::UrlParts;

/// A proxy on a free port of 127.0.0.1. It runs on the runtime that started it, and stops when it
/// is dropped, cutting all its connections.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use forktex_testkit::Proxy;
///
/// let proxy = Proxy::start("127.0.0.1:5432".parse()?).await?;
/// let url = proxy.url_through("postgres://me:secret@127.0.0.1:5432/main")?;
/// assert_eq!(url, format!("postgres://me:secret@{}/main", proxy.address()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    controls: Arc<Controls>,
    acceptor: JoinHandle<()>,
}

/// What a test has asked for, as connections see it.
#[derive(Debug)]
struct Controls {
    /// Where connections go that are made from now on.
    target: watch::Sender<SocketAddr>,
    /// Counts the cuts.
    cuts: watch::Sender<u64>,
    delay: watch::Sender<Duration>,
    is_blocked: AtomicBool,
    /// Whether what servers say is swallowed.
    is_mute: AtomicBool,
    drop_next_commit: AtomicBool,
    commits_dropped: AtomicUsize,
}

impl Proxy {
    /// Starts a proxy before `target`, which need not listen yet: each connection dials anew.
    ///
    /// # Errors
    /// [`TestkitError::Io`] when no local port can be bound.
    pub async fn start(target: SocketAddr) -> Result<Self, TestkitError> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = bound.map_err(TestkitError::io("listen on", "127.0.0.1:0"))?;
        let address = listener
            .local_addr()
            .map_err(TestkitError::io("listen on", "127.0.0.1:0"))?;
        let controls = Arc::new(Controls::new(target));
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&controls)));
        Ok(Self {
            address,
            controls,
            acceptor,
        })
    }

    /// Where to connect instead of the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with its host and port replaced by the proxy's.
    ///
    /// # Errors
    /// [`TestkitError::InvalidUrl`] when it has no host.
    pub fn url_through(&self, url: &str) -> Result<String, TestkitError> {
        let parts = UrlParts::parse(url, "the URL to go through the proxy")?;
        Ok(parts.with_address(&self.address.to_string()).to_string())
    }

    /// Leads new connections to another server; those that are open stay with the one before, as after
    /// a failover.
    pub fn redirect(&self, target: SocketAddr) {
        self.controls.target.send_replace(target);
    }

    /// Drops all connections now; new ones are welcome, unless [`block`](Self::block) came first.
    pub fn cut(&self) {
        self.controls.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Resets new connections from now on; those that are open stay.
    pub fn block(&self) {
        self.controls.is_blocked.store(true, Ordering::SeqCst);
    }

    /// Undoes [`block`](Self::block).
    pub fn unblock(&self) {
        self.controls.is_blocked.store(false, Ordering::SeqCst);
    }

    /// Swallows what the server says from now on, until [`unmute`](Self::unmute): it does what it is
    /// asked, and its answers are lost. [`cut`](Self::cut) before unmuting, or clients hear the rest of
    /// an answer whose beginning is gone.
    pub fn mute(&self) {
        self.controls.is_mute.store(true, Ordering::SeqCst);
    }

    /// Undoes [`mute`](Self::mute).
    pub fn unmute(&self) {
        self.controls.is_mute.store(false, Ordering::SeqCst);
    }

    /// Holds each piece of data back for `delay`, in each direction, so that a round trip takes
    /// twice as long more. It applies to data already held back, too.
    ///
    /// `Duration::MAX` is a network that loses everything and tells nobody;
    /// `Duration::ZERO`, the default, ends it.
    pub fn delay(&self, delay: Duration) {
        self.controls.delay.send_replace(delay);
    }

    /// Lets the next `COMMIT` happen and its answer be lost: the server commits, the proxy
    /// swallows what it says and cuts that connection. Once a call.
    ///
    /// Found are `COMMIT` and `END`, as a simple query (the last statement of one counts) or
    /// prepared; never inside TLS, so connect with `sslmode=disable` where the server offers it.
    pub fn drop_after_commit(&self) {
        self.controls.drop_next_commit.store(true, Ordering::SeqCst);
    }

    /// How many answers to a `COMMIT` were lost so far.
    pub fn commits_dropped(&self) -> usize {
        self.controls.commits_dropped.load(Ordering::SeqCst)
    }
}

impl Controls {
    fn new(target: SocketAddr) -> Self {
        Self {
            target: watch::Sender::new(target),
            cuts: watch::Sender::default(),
            delay: watch::Sender::default(),
            is_blocked: AtomicBool::default(),
            is_mute: AtomicBool::default(),
            drop_next_commit: AtomicBool::default(),
            commits_dropped: AtomicUsize::default(),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It owns the connections' tasks, and ends them with itself.
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, controls: Arc<Controls>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) if controls.is_blocked.load(Ordering::SeqCst) => reset(client),
                Ok((client, _)) => {
                    let target = *controls.target.borrow();
                    connections.spawn(connection::serve(client, target, Arc::clone(&controls)));
                }
                // The client went away meanwhile, or we are out of file handles: the next one
                // may fare better, and must not wait for a busy loop.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Closes a connection as a crashed peer does.
fn reset(stream: TcpStream) {
    // Where it is not supported, an ordinary close does as well.
    let _ = stream.set_zero_linger();
    drop(stream);
}
