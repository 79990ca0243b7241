// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Bytes on disk: a file for each body that was received, gone with its last user.
//!
//! Nothing here knows of keys or buckets.

use std::collections::VecDeque;
use std::io::{self, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use data_encoding::BASE64;
use futures_util::stream::try_unfold;
use futures_util::{Stream, StreamExt as _};
use hyper::body::Bytes;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumAlgorithm, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, s3_error};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};

/// How much is gathered before it is written.
const WRITE_BYTES: usize = 1024 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 256 * 1024;

/// A file that is removed when it is dropped. Who is reading it reads on.
pub(super) struct Blob {
    path: PathBuf,
    size: u64,
}

impl Blob {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Moves it to another folder of the same disk.
    pub(super) fn move_to(&mut self, folder: &Path) -> S3Result<()> {
        let Some(name) = self.path.file_name() else {
            return Err(s3_error!(InternalError, "a blob has no name"));
        };
        let path = folder.join(name);
        std::fs::rename(&self.path, &path).map_err(S3Error::internal_error)?;
        self.path = path;
        Ok(())
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        // Should it be gone, the whole folder is.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What a client says of the body that it sends. A checksum in a trailer is not compared.
#[derive(Default)]
pub(super) struct Expected {
    pub(super) md5: Option<String>,
    pub(super) checksums: Checksum,
    pub(super) algorithm: Option<ChecksumAlgorithm>,
}

impl Expected {
    fn hasher(&self) -> ChecksumHasher {
        let given = &self.checksums;
        let named = self.algorithm.as_ref().map(ChecksumAlgorithm::as_str);
        let wanted = |is_given: bool, name: &str| is_given || named == Some(name);
        ChecksumHasher {
            crc32: wanted(given.checksum_crc32.is_some(), ChecksumAlgorithm::CRC32)
                .then(Crc32::default),
            crc32c: wanted(given.checksum_crc32c.is_some(), ChecksumAlgorithm::CRC32C)
                .then(Crc32c::default),
            sha1: wanted(given.checksum_sha1.is_some(), ChecksumAlgorithm::SHA1)
                .then(Sha1::default),
            sha256: wanted(given.checksum_sha256.is_some(), ChecksumAlgorithm::SHA256)
                .then(Sha256::default),
            crc64nvme: wanted(
                given.checksum_crc64nvme.is_some(),
                ChecksumAlgorithm::CRC64NVME,
            )
            .then(Crc64Nvme::default),
        }
    }

    fn check(&self, md5: &[u8; 16], found: &Checksum) -> S3Result<()> {
        let md5 = Some(BASE64.encode(md5));
        let given = &self.checksums;
        let pairs = [
            (&self.md5, &md5),
            (&given.checksum_crc32, &found.checksum_crc32),
            (&given.checksum_crc32c, &found.checksum_crc32c),
            (&given.checksum_sha1, &found.checksum_sha1),
            (&given.checksum_sha256, &found.checksum_sha256),
            (&given.checksum_crc64nvme, &found.checksum_crc64nvme),
        ];
        for (expected, found) in pairs {
            if expected.is_some() && expected != found {
                return Err(s3_error!(
                    BadDigest,
                    "The checksum you specified did not match what we received."
                ));
            }
        }
        Ok(())
    }
}

/// A body that arrived whole and as it was announced.
pub(super) struct Received {
    pub(super) blob: Blob,
    pub(super) md5: [u8; 16],
    pub(super) checksums: Checksum,
}

/// Writes a body to a new file of `folder`. Cut off or not as announced, it leaves nothing.
pub(super) async fn receive<S, E>(folder: &Path, body: S, expected: &Expected) -> S3Result<Received>
where
    S: Stream<Item = Result<Bytes, E>> + Send,
    E: Into<StdError> + Send,
{
    let path = folder.join(uuid::Uuid::new_v4().simple().to_string());
    let mut blob = Blob { path, size: 0 };
    let file = File::create_new(&blob.path).await;
    let mut file = BufWriter::with_capacity(WRITE_BYTES, file.map_err(S3Error::internal_error)?);
    let mut md5 = Md5::new();
    let mut hasher = expected.hasher();
    let mut body = pin!(body);
    while let Some(bytes) = body.next().await {
        let bytes = bytes
            .map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error.into()))?;
        md5.update(&bytes);
        hasher.update(&bytes);
        file.write_all(&bytes)
            .await
            .map_err(S3Error::internal_error)?;
        blob.size += bytes.len() as u64;
    }
    file.flush().await.map_err(S3Error::internal_error)?;
    let md5 = md5.finalize();
    let checksums = hasher.finalize();
    expected.check(&md5, &checksums)?;
    Ok(Received {
        blob,
        md5,
        checksums,
    })
}

/// Reads `range` of the pieces, laid end to end.
pub(super) fn read(pieces: &[Arc<Blob>], range: &Range<u64>) -> StreamingBlob {
    let mut rest = VecDeque::new();
    let mut start = 0;
    for blob in pieces {
        let end = start + blob.size;
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            rest.push_back(Piece {
                blob: Arc::clone(blob),
                from: from - start,
                left: to - from,
                file: None,
            });
        }
        start = end;
    }
    StreamingBlob::wrap(try_unfold(rest, next_chunk))
}

/// A part of a blob that is still to be read.
struct Piece {
    blob: Arc<Blob>,
    from: u64,
    left: u64,
    file: Option<File>,
}

impl Piece {
    async fn read(&mut self) -> io::Result<Bytes> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let mut chunk = vec![0; wanted.min(READ_BYTES)];
        let read = file.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(read);
        self.left -= read as u64;
        self.file = Some(file);
        Ok(chunk.into())
    }

    fn open(&self) -> io::Result<File> {
        let mut file = std::fs::File::open(&self.blob.path)?;
        file.seek(SeekFrom::Start(self.from))?;
        Ok(File::from_std(file))
    }
}

async fn next_chunk(mut rest: VecDeque<Piece>) -> io::Result<Option<(Bytes, VecDeque<Piece>)>> {
    let Some(piece) = rest.front_mut() else {
        return Ok(None);
    };
    let chunk = piece.read().await?;
    if piece.left == 0 {
        rest.pop_front();
    }
    Ok(Some((chunk, rest)))
}
