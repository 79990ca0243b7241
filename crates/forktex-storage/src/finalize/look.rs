// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A look at the beginning of an upload, which tells what it is.
//!
//! The beginning stays part of the stream: nothing is read twice.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::content_type::FIRST_BYTES_MAX;
use crate::{ContentType, StorageError};

/// What nobody knows the type of.
const UNKNOWN: &str = "application/octet-stream";

/// The first bytes of a stream, and the stream as it was.
pub(super) async fn peek(
    mut stream: BoxStream<'static, Result<Bytes, StorageError>>,
) -> Result<(Vec<u8>, BoxStream<'static, Result<Bytes, StorageError>>), StorageError> {
    let mut first = Vec::with_capacity(FIRST_BYTES_MAX);
    let mut pieces = Vec::new();
    while first.len() < FIRST_BYTES_MAX {
        let Some(piece) = stream.try_next().await? else {
            break;
        };
        // Empty ones are not kept, so that at most 512 pieces are.
        if piece.is_empty() {
            continue;
        }
        let wanted = FIRST_BYTES_MAX - first.len();
        first.extend_from_slice(piece.get(..wanted).unwrap_or(&piece));
        pieces.push(Ok(piece));
    }
    Ok((first, stream::iter(pieces).chain(stream).boxed()))
}

/// What an upload is, by its bytes; by a name only where no bytes could tell.
pub(super) fn type_of(first: &[u8], name: &str) -> ContentType {
    let by_bytes = ContentType::sniff(first, "");
    let by_both = ContentType::sniff(first, name);
    if by_bytes.as_str() != UNKNOWN {
        return by_both;
    }
    // The bytes show nothing, and the name is only believed where there is nothing to show.
    let essence = by_both.essence();
    let has_mark = infer::is_mime_supported(essence);
    let is_text = essence.starts_with("text/") || essence.ends_with("json");
    if has_mark || (is_text && first.contains(&0)) {
        return by_bytes;
    }
    by_both
}

/// The type of what nobody knows.
pub(super) fn unknown() -> ContentType {
    ContentType::sniff(&[], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and more";

    #[test]
    fn a_name_is_believed_only_where_bytes_could_not_tell() {
        let of = |first: &[u8], name: &str| type_of(first, name).as_str().to_owned();
        assert_eq!(of(PNG, "a.txt"), "image/png");
        assert_eq!(of(b"words", "a.png"), UNKNOWN);
        assert_eq!(of(b"", "a.png"), UNKNOWN);
        assert_eq!(of(b"a,b\n1,2", "a.csv"), "text/csv");
        assert_eq!(of(b"a,b\0", "a.csv"), UNKNOWN);
        assert_eq!(
            of(b"<svg xmlns='http://www.w3.org/2000/svg'>", "a.png"),
            "image/svg+xml"
        );
    }

    #[tokio::test]
    async fn a_stream_is_whole_after_its_beginning_was_looked_at() {
        let pieces = [&b""[..], b"ab", b"", b"cd"].map(|piece| Ok(Bytes::from_static(piece)));
        let (first, rest) = peek(stream::iter(pieces).boxed()).await.unwrap();
        assert_eq!(first, b"abcd");
        let whole: Vec<Bytes> = rest.try_collect().await.unwrap();
        assert_eq!(whole.concat(), b"abcd");

        let long = Bytes::from(vec![7; 2 * FIRST_BYTES_MAX]);
        let (first, rest) = peek(stream::iter([Ok(long)]).boxed()).await.unwrap();
        assert_eq!(first.len(), FIRST_BYTES_MAX);
        let whole: Vec<Bytes> = rest.try_collect().await.unwrap();
        assert_eq!(whole.concat().len(), 2 * FIRST_BYTES_MAX);
    }
}
