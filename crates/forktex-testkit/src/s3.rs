// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An S3 server inside this process, over a temporary folder.
//!
//! It checks signatures and their expiry, forms and their policies, conditions and checksums as the
//! real one does. It is no measure of speed, keeps no versions, and is gone with its handle.

mod blob;
mod conditions;
mod gate;
mod listing;
mod multipart;
mod objects;
mod options;
mod service;
mod state;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::TestkitError;
use crate::account::Account;
use crate::error::off_thread;
use crate::folder;
use crate::guardian::Guardian;
use gate::{Gate, Traffic};
use options::Domain;
pub use options::S3Options;
use state::Store;

/// The only region that is served.
const REGION: &str = "us-east-1";

/// An S3 server on a free port of 127.0.0.1, with keys of its own.
///
/// It runs on the runtime that started it. When it is dropped, or this process ends, its folder is
/// removed.
///
/// It serves `GET`, `PUT`, `HEAD`, `DELETE`, forms, copies, lists (version 2) and uploads in parts,
/// signed by signature version 4. As on S3, parts but the last have 5 MiB at least, a condition that
/// fails is answered by 412, and `If-Match` on a key that is not there by 404. Two things are
/// stricter or laxer than there: a form is refused 15 minutes after it was signed, whatever its
/// policy says; and a checksum in a trailer is not compared.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), forktex_testkit::TestkitError> {
/// let s3 = forktex_testkit::S3::start().await?;
/// s3.create_bucket("pictures").await?;
/// assert!(s3.endpoint().starts_with("http://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
pub struct S3 {
    endpoint: String,
    domain_endpoint: Option<String>,
    address: SocketAddr,
    access_key: String,
    secret_key: String,
    store: Store,
    traffic: Arc<Traffic>,
    guardian: Option<Guardian>,
    acceptor: JoinHandle<()>,
}

impl S3 {
    /// Starts a server without buckets, in path style (`endpoint/bucket/key`).
    ///
    /// # Errors
    /// [`TestkitError::Io`] when no port can be bound or no folder made.
    ///
    /// # Cancellation
    /// Leaves an empty folder in the temporary folder at worst, until this process ends.
    pub async fn start() -> Result<Self, TestkitError> {
        Self::start_with(S3Options::new()).await
    }

    /// Starts a server without buckets, as `options` say.
    ///
    /// # Errors
    /// As [`S3::start`], and [`TestkitError::S3`] when the domain is none.
    ///
    /// # Cancellation
    /// As [`S3::start`].
    pub async fn start_with(options: S3Options) -> Result<Self, TestkitError> {
        let (buckets, guardian) = off_thread(|| {
            let folder = folder::create(None, "s3", Account::current())?;
            let guardian = Guardian::of_server(&folder, "KILL")?;
            let buckets = folder.join("buckets");
            std::fs::create_dir(&buckets).map_err(TestkitError::io("create", &buckets))?;
            Ok((buckets, guardian))
        })
        .await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(TestkitError::io("listen on", "127.0.0.1:0"))?;
        let address = listener
            .local_addr()
            .map_err(TestkitError::io("listen on", "127.0.0.1:0"))?;
        let access_key = format!("test{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
        let secret_key = uuid::Uuid::new_v4().simple().to_string();

        let domain = options
            .domain
            .map(|name| format!("{name}:{}", address.port()));
        let store = Store::new(buckets.clone());
        let mut builder = S3ServiceBuilder::new(store.clone());
        builder.set_auth(SimpleAuth::from_single(&*access_key, &*secret_key));
        if let Some(domain) = &domain {
            builder.set_host(host(&buckets, domain)?);
        }
        let traffic = Arc::<Traffic>::default();
        let gate = Gate::new(builder.build(), Arc::clone(&traffic));
        Ok(Self {
            endpoint: format!("http://{address}"),
            domain_endpoint: domain.map(|domain| format!("http://{domain}")),
            address,
            access_key,
            secret_key,
            store,
            traffic,
            guardian: Some(guardian),
            acceptor: tokio::spawn(accept(listener, gate)),
        })
    }

    /// The base URL, `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The base URL by the domain that was asked for, `http://domain:port`. Its buckets are at
    /// `http://bucket.domain:port` too.
    pub fn domain_endpoint(&self) -> Option<&str> {
        self.domain_endpoint.as_deref()
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The only access key that the server knows.
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The access key's secret.
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// The region to sign for. What is signed for another is refused.
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// Creates a bucket, without a signed request.
    ///
    /// # Errors
    /// [`TestkitError::Io`] when it exists, or its name is none that S3 allows.
    ///
    /// # Cancellation
    /// The bucket may be half made, so that it cannot be made again.
    pub async fn create_bucket(&self, name: &str) -> Result<(), TestkitError> {
        let created = self.store.create_bucket(name).await;
        created.map_err(TestkitError::io("create bucket", name))
    }

    /// How many requests have come so far, refused ones included.
    pub fn requests(&self) -> u64 {
        self.traffic.requests()
    }

    /// Answers the next `requests` by `503 Slow Down`, whatever they are; zero ends it.
    pub fn slow_down(&self, requests: u64) {
        self.traffic.slow_down(requests);
    }

    /// Makes all uploads that were begun and not ended as much older, as if time had passed.
    pub fn age_uploads(&self, by: Duration) {
        self.store.age_uploads(by);
    }

    /// The files of the parts of a bucket's uploads that were begun and not ended, in no order.
    ///
    /// What this says is read from the disk, and not from what the server remembers.
    ///
    /// # Errors
    /// [`TestkitError::Io`] when there is no such bucket.
    pub fn list_parts_on_disk(&self, bucket: &str) -> Result<Vec<PathBuf>, TestkitError> {
        let folder = self.store.parts_folder(bucket);
        let files = std::fs::read_dir(&folder).map_err(TestkitError::io("list", &folder))?;
        files
            .map(|file| file.map(|file| file.path()))
            .collect::<Result<_, _>>()
            .map_err(TestkitError::io("list", folder))
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3")
            .field("endpoint", &self.endpoint)
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It owns the connections' tasks, and ends them with itself.
        self.acceptor.abort();
        if let Some(guardian) = self.guardian.take() {
            guardian.finish_in_background(None);
        }
    }
}

fn host(folder: &Path, domain: &str) -> Result<Domain, TestkitError> {
    Domain::new(domain).map_err(|reason| TestkitError::S3 {
        folder: folder.to_path_buf(),
        reason,
    })
}

async fn accept(listener: TcpListener, gate: Gate) {
    let server = Builder::new(TokioExecutor::new());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = server
                        .serve_connection(TokioIo::new(stream), gate.clone())
                        .into_owned();
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(error, "an S3 connection ended early");
                        }
                    });
                }
                // The client went away meanwhile, or we are out of file handles.
                Err(_) => tokio::task::yield_now().await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}
