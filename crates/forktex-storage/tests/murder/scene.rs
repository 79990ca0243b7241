// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where it happens: a folder, or the S3 server of this process, which outlives each victim.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use forktex_storage::{Sha256Digest, Storage};
use forktex_testkit::S3;

use crate::Outcome;
use crate::folder::{TestFolder, files_below};
use crate::victim;

const BUCKET: &str = "victims";

/// How long a server may go on with what a dead client sent it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    S3,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Folder, Self::S3];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::S3 => "s3",
        }
    }
}

/// The storage as the murderer has it, and where the parts of uploads lie.
pub(crate) struct Scene {
    /// What the victim opens.
    pub(crate) url: String,
    storage: Storage,
    ground: Ground,
}

/// What ends with the scene.
enum Ground {
    Folder(TestFolder),
    S3(S3),
}

impl Scene {
    pub(crate) async fn set(kind: Kind) -> Outcome<Self> {
        let (url, ground) = match kind {
            Kind::Folder => {
                let folder = TestFolder::create();
                let url = format!("folder://{}", folder.path().display());
                (url, Ground::Folder(folder))
            }
            Kind::S3 => {
                let server = S3::start().await?;
                server.create_bucket(BUCKET).await?;
                let url = format!(
                    "s3://{}:{}@{}/{BUCKET}?region={}&path_style=true&tls=false",
                    server.access_key(),
                    server.secret_key(),
                    server.address(),
                    server.region()
                );
                (url, Ground::S3(server))
            }
        };
        let storage = Storage::open_url(&url).await?;
        Ok(Self {
            url,
            storage,
            ground,
        })
    }

    /// What is left of uploads.
    pub(crate) fn files_left(&self) -> Outcome<Vec<PathBuf>> {
        match &self.ground {
            Ground::Folder(folder) => {
                let staging = folder.path().join(".forktex-storage").join("staging");
                if !staging.is_dir() {
                    return Err(format!("no folder {}", staging.display()).into());
                }
                Ok(files_below(&staging))
            }
            Ground::S3(server) => Ok(server.list_parts_on_disk(BUCKET)?),
        }
    }

    /// Whether the victim's object is whole; `None` where there is none.
    pub(crate) async fn is_object_whole(&self) -> Outcome<Option<bool>> {
        let listed = self.storage.list("").page().await?.objects;
        let object = match self.storage.get(victim::KEY).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => {
                return match listed.as_slice() {
                    [] => Ok(None),
                    [object, ..] => Err(format!("`{}` is listed", object.key).into()),
                };
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = object.bytes().await?;
        Ok(Some(
            Sha256Digest::of(&bytes) == Sha256Digest::of(victim::whole()),
        ))
    }

    /// Sweeps until nothing is left of any upload. The server may be told of the last part after the first
    /// sweep.
    pub(crate) async fn sweep_until_clean(&self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.storage.sweep_uploads(Duration::ZERO).await?;
            let left = self.files_left()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the sweeper left {left:?}").into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Makes room for the next one.
    pub(crate) async fn clear(&self) -> Outcome<()> {
        Ok(self.storage.delete(victim::KEY).await?)
    }
}
