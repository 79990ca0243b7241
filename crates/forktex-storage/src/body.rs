// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What goes up: bytes, a stream or a file.
//!
//! A body is read once, from its start. A stream or a file is never held in memory as a whole.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::error::StorageError;

/// How much of a file is read at once.
const READ_BYTES: usize = 1024 * 1024;

/// What a stream failed with.
type Cause = Box<dyn Error + Send + Sync>;

/// The bytes of an object to be stored.
///
/// Texts, vectors and [`Bytes`] become one by `into`. Such a body is stored with its SHA-256, which is
/// computed first. A [`stream`](Self::stream) or a [`file`](Self::file) is read while it is sent.
///
/// # Examples
/// ```
/// use forktex_storage::{Body, Storage};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = Storage::memory();
/// let chunks = ["a,b\n", "1,2\n"].map(|line| Ok::<_, std::io::Error>(line.into()));
/// let stored = storage
///     .put("table.csv", Body::stream(futures_util::stream::iter(chunks)))
///     .await?;
/// assert_eq!(stored.size, 8);
/// # Ok(())
/// # }
/// ```
pub struct Body(pub(crate) Source);

/// Where the bytes come from.
pub(crate) enum Source {
    Bytes(Bytes),
    Stream(BoxStream<'static, Result<Bytes, Cause>>),
    File(PathBuf),
}

impl Body {
    /// The bytes of a stream of unknown length. An error of the stream fails the operation, and nothing
    /// becomes visible.
    pub fn stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + 'static,
    {
        Self(Source::Stream(stream.map_err(Into::into).boxed()))
    }

    /// The bytes of a file on this machine, which is opened when the operation begins. A link is followed.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self(Source::File(path.as_ref().to_owned()))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Source::Stream(_) => f.write_str("Body(stream)"),
            Source::File(path) => write!(f, "Body(file {})", path.display()),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Source::Bytes(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl<const LENGTH: usize> From<&'static [u8; LENGTH]> for Body {
    fn from(bytes: &'static [u8; LENGTH]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

/// A body that is read piece by piece.
pub(crate) enum Pieces {
    Stream(BoxStream<'static, Result<Bytes, Cause>>),
    File { file: File, path: PathBuf },
}

impl Pieces {
    /// Opens the file.
    pub(crate) async fn open(path: PathBuf) -> Result<Self, StorageError> {
        match File::open(&path).await {
            Ok(file) => Ok(Self::File { file, path }),
            Err(source) => Err(StorageError::Io {
                operation: "open",
                path,
                source,
            }),
        }
    }

    /// The next bytes, or `None` at the end. `bucket` and `key` are for the error.
    pub(crate) async fn next(
        &mut self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Bytes>, StorageError> {
        match self {
            Self::Stream(stream) => stream.next().await.transpose().map_err(|source| {
                let error = object_store::Error::Generic {
                    store: "body",
                    source,
                };
                StorageError::from_store("take the body of", bucket, key, error)
            }),
            Self::File { file, path } => {
                let mut buffer = BytesMut::with_capacity(READ_BYTES);
                match file.read_buf(&mut buffer).await {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some(buffer.freeze())),
                    Err(source) => Err(StorageError::Io {
                        operation: "read",
                        path: path.clone(),
                        source,
                    }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_body_are_not_shown() {
        let shown = format!("{:?} {:?}", Body::from("secret"), Body::file("/tmp/a"));
        assert_eq!(shown, "Body(6 bytes) Body(file /tmp/a)");
    }

    #[tokio::test]
    async fn an_error_of_this_crate_passes_through_a_stream_as_it_is() {
        let failing = futures_util::stream::iter([Err(StorageError::NotFound {
            bucket: "b".to_owned(),
            key: "source".to_owned(),
        })]);
        let Source::Stream(stream) = Body::stream(failing).0 else {
            panic!("a stream is no file");
        };
        let error = Pieces::Stream(stream)
            .next("b", "target")
            .await
            .unwrap_err();
        assert!(matches!(error, StorageError::NotFound { key, .. } if key == "source"));
    }
}
