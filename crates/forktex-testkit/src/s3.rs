// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An S3 server inside this process, over a temporary folder.
//!
//! It checks signatures and their expiry as the real one does. It is no measure of speed, and it
//! serves path-style requests only (`endpoint/bucket/key`).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::TestkitError;
use crate::account::Account;
use crate::error::off_thread;
use crate::folder;
use crate::guardian::Guardian;

/// An S3 server on a free port of 127.0.0.1, with keys of its own.
///
/// It runs on the runtime that started it. When it is dropped, or this process ends, its folder is
/// removed.
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
    address: SocketAddr,
    access_key: String,
    secret_key: String,
    folder: PathBuf,
    guardian: Option<Guardian>,
    acceptor: JoinHandle<()>,
}

impl S3 {
    /// Starts a server without buckets.
    ///
    /// # Errors
    /// [`TestkitError::Io`] when no port can be bound or no folder made.
    ///
    /// # Cancellation
    /// Leaves an empty folder in the temporary folder at worst, until this process ends.
    pub async fn start() -> Result<Self, TestkitError> {
        let (folder, guardian) = off_thread(|| {
            let folder = folder::create(None, "s3", Account::current())?;
            let guardian = Guardian::of_server(&folder, "KILL")?;
            Ok((folder, guardian))
        })
        .await?;
        let access_key = format!("test{}", &uuid::Uuid::new_v4().simple().to_string()[..16]);
        let secret_key = uuid::Uuid::new_v4().simple().to_string();
        let service = service(&folder, &access_key, &secret_key)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(TestkitError::io("listen on", "127.0.0.1:0"))?;
        let address = listener
            .local_addr()
            .map_err(TestkitError::io("listen on", "127.0.0.1:0"))?;
        Ok(Self {
            endpoint: format!("http://{address}"),
            address,
            access_key,
            secret_key,
            folder,
            guardian: Some(guardian),
            acceptor: tokio::spawn(accept(listener, service)),
        })
    }

    /// The base URL, `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
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

    /// The region to sign for.
    pub fn region(&self) -> &'static str {
        "us-east-1"
    }

    /// Creates a bucket, without a signed request.
    ///
    /// # Errors
    /// [`TestkitError::Io`] when it exists, or its name is not that of a folder.
    pub async fn create_bucket(&self, name: &str) -> Result<(), TestkitError> {
        let folder = self.folder.join(name);
        if folder.parent() != Some(&self.folder) {
            let wrong = std::io::Error::from(std::io::ErrorKind::InvalidFilename);
            return Err(TestkitError::io("create bucket", name)(wrong));
        }
        tokio::fs::create_dir(&folder)
            .await
            .map_err(TestkitError::io("create bucket", name))
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

fn service(
    folder: &std::path::Path,
    access_key: &str,
    secret_key: &str,
) -> Result<S3Service, TestkitError> {
    let files = FileSystem::new(folder).map_err(|error| TestkitError::S3 {
        folder: folder.to_path_buf(),
        reason: format!("{error:?}"),
    })?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
    Ok(builder.build())
}

async fn accept(listener: TcpListener, service: S3Service) {
    let server = Builder::new(TokioExecutor::new());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = server
                        .serve_connection(TokioIo::new(stream), service.clone())
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
