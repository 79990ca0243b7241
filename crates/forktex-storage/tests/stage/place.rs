// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a test plays: a storage, and the server that its links lead to.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use forktex_storage::{
    FolderConfig, MemoryConfig, S3Config, S3Credentials, Secret, Storage, StorageConfig, serve,
};
use forktex_testkit::S3;
use futures_util::TryStreamExt as _;
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::folder::TestFolder;

/// Real endpoints to test as well, as URLs of a storage, comma separated.
const URLS: &str = "FORKTEX_STORAGE_URLS";

/// The smallest part that S3 takes: uploads in parts are quick to test with it.
pub(crate) const PART_BYTES: usize = 5 * 1024 * 1024;

/// The bucket of the S3 server, and another one beside it.
const BUCKET: &str = "pictures";
const OTHER_BUCKET: &str = "letters";

/// The name of the second bucket in each configuration.
pub(crate) const OTHER: &str = "other";

/// Where the objects are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Folder,
    S3,
    /// One that the environment names.
    Endpoint,
}

/// One backend, ready to use.
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) storage: Storage,
    ground: Ground,
}

enum Ground {
    Memory,
    Folder(FolderServer),
    S3(S3),
    Endpoint(String),
}

/// A folder with its router on a port.
struct FolderServer {
    /// The objects are in a folder inside of this one, so that there is something outside of them.
    folder: TestFolder,
    address: SocketAddr,
    router: JoinHandle<()>,
}

impl Drop for FolderServer {
    fn drop(&mut self) {
        self.router.abort();
    }
}

impl Place {
    pub(crate) async fn memory() -> Self {
        let config = StorageConfig::new(MemoryConfig::new()).bucket(OTHER, MemoryConfig::new());
        Self {
            kind: Kind::Memory,
            storage: open(config).await,
            ground: Ground::Memory,
        }
    }

    pub(crate) async fn folder() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = TestFolder::create();
        let storage = open(folder_config(&folder, address)).await;
        let router = serve::router(&storage).unwrap();
        let router = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            kind: Kind::Folder,
            storage,
            ground: Ground::Folder(FolderServer {
                folder,
                address,
                router,
            }),
        }
    }

    pub(crate) async fn s3() -> Self {
        let server = S3::start().await.unwrap();
        server.create_bucket(BUCKET).await.unwrap();
        server.create_bucket(OTHER_BUCKET).await.unwrap();
        Self {
            kind: Kind::S3,
            storage: open(s3_config(&server)).await,
            ground: Ground::S3(server),
        }
    }

    /// Those that the environment names, each under a prefix of its own.
    pub(crate) async fn endpoints() -> Vec<Self> {
        let urls = std::env::var(URLS).unwrap_or_default();
        let mut places = Vec::new();
        for url in urls.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            let scope = format!("suite-{}", Uuid::new_v4().simple());
            let storage = open(StorageConfig::from_url(url).unwrap()).await;
            places.push(Self {
                kind: Kind::Endpoint,
                storage: Storage::clone(&storage.for_org(scope).unwrap()),
                ground: Ground::Endpoint(url.to_owned()),
            });
        }
        places
    }

    /// The configuration that leads to the same objects; of memory, to an empty one.
    pub(crate) fn config(&self) -> StorageConfig {
        match &self.ground {
            Ground::Memory => StorageConfig::new(MemoryConfig::new()),
            Ground::Folder(server) => folder_config(&server.folder, server.address),
            Ground::S3(server) => s3_config(server),
            Ground::Endpoint(url) => StorageConfig::from_url(url).unwrap(),
        }
    }

    /// The same objects, by a storage whose clock stands still.
    pub(crate) async fn at(&self, now: OffsetDateTime) -> Storage {
        open(self.config().clock_frozen_at(now)).await
    }

    /// The same objects, by a storage that has another secret than the server.
    pub(crate) async fn with_another_secret(&self) -> Storage {
        let secret = "another secret, which the server does not know";
        open(match &self.ground {
            Ground::Folder(server) => {
                let base_url = format!("http://{}", server.address);
                let folder = FolderConfig::new(root(&server.folder));
                StorageConfig::new(folder.serve_at(base_url, secret))
            }
            Ground::S3(server) => StorageConfig::new(S3Config::minio(
                server.endpoint(),
                BUCKET,
                server.access_key(),
                secret,
            )),
            Ground::Memory | Ground::Endpoint(_) => unreachable!("no server of our own"),
        })
        .await
    }

    /// Where the server of the links listens, `127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        match &self.ground {
            Ground::Folder(server) => server.address.to_string(),
            Ground::S3(server) => server.address().to_string(),
            Ground::Memory | Ground::Endpoint(_) => unreachable!("no server of our own"),
        }
    }

    /// The S3 server.
    pub(crate) fn server(&self) -> &S3 {
        match &self.ground {
            Ground::S3(server) => server,
            _ => unreachable!("no S3 server"),
        }
    }

    /// Where the objects of the folder are.
    pub(crate) fn root(&self) -> PathBuf {
        match &self.ground {
            Ground::Folder(server) => root(&server.folder),
            _ => unreachable!("no folder"),
        }
    }

    /// The folder that the objects' own is in.
    pub(crate) fn outside(&self) -> &Path {
        match &self.ground {
            Ground::Folder(server) => server.folder.path(),
            _ => unreachable!("no folder"),
        }
    }

    /// Whether links lead to a server here that the tests speak to.
    pub(crate) fn has_server(&self) -> bool {
        matches!(self.kind, Kind::Folder | Kind::S3)
    }

    /// Removes what a test left on a server that is not ours.
    pub(crate) async fn clear(&self) {
        if self.kind == Kind::Endpoint {
            let listed = self.storage.list("").stream();
            let listed: Vec<_> = listed.try_collect().await.unwrap();
            let keys = listed.into_iter().map(|object| object.key);
            self.storage.delete_many(keys).await.unwrap();
        }
    }
}

/// Opens a storage that signs tickets, and uploads in small parts.
pub(crate) async fn open(config: StorageConfig) -> Storage {
    let config = config
        .ticket_key(Secret::from(
            "the key of the tests' tickets, 32 bytes or more",
        ))
        .part_size(PART_BYTES)
        .parallel_parts(2);
    Storage::open(config).await.unwrap()
}

/// A bucket of the S3 server.
pub(crate) fn s3_bucket(server: &S3, endpoint: &str, bucket: &str) -> S3Config {
    S3Config::new(bucket, server.region())
        .endpoint(endpoint)
        .path_style()
        .allow_http()
        .credentials(S3Credentials::new(server.access_key(), server.secret_key()))
}

pub(crate) fn s3_config(server: &S3) -> StorageConfig {
    StorageConfig::new(s3_bucket(server, server.endpoint(), BUCKET))
        .bucket(OTHER, s3_bucket(server, server.endpoint(), OTHER_BUCKET))
}

fn folder_config(folder: &TestFolder, address: SocketAddr) -> StorageConfig {
    let base_url = format!("http://{address}");
    let key = || Secret::from("the key of the tests' links, of 32 bytes or more");
    let other = folder.path().join("other");
    StorageConfig::new(FolderConfig::new(root(folder)).serve_at(&base_url, key()))
        .bucket(OTHER, FolderConfig::new(other).serve_at(&base_url, key()))
}

fn root(folder: &TestFolder) -> PathBuf {
    folder.path().join("objects")
}
