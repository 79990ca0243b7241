// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Bytes that tests send: always the same, and different at each place.

use bytes::Bytes;
use futures_util::{Stream, stream};

/// A prime, so that no two parts of an upload are alike.
const PERIOD: usize = 65_521;

/// So many bytes, which follow from their places.
pub(crate) fn bytes(length: usize) -> Bytes {
    let place = |at: usize| u8::try_from(at % PERIOD % 251).unwrap();
    (0..length).map(place).collect::<Vec<u8>>().into()
}

/// The same in pieces of at most `piece` bytes, whose number nobody is told.
pub(crate) fn pieces(
    whole: &Bytes,
    piece: usize,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let whole = whole.clone();
    let count = whole.len().div_ceil(piece);
    stream::iter((0..count).map(move |at| {
        let start = at * piece;
        let end = (start + piece).min(whole.len());
        Ok(whole.slice(start..end))
    }))
}

/// The bytes, and then an error instead of the rest.
pub(crate) fn broken(
    whole: &Bytes,
    piece: usize,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let end = stream::iter([Err(std::io::Error::other("the source broke"))]);
    futures_util::StreamExt::chain(pieces(whole, piece), end)
}
