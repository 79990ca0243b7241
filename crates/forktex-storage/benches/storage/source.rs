// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The bytes that go up: made once, and sent over and over, so that making them costs neither side anything.

use bytes::Bytes;
use futures_util::{Stream, stream};

/// What a service reads at once, say from a socket.
const PIECE_BYTES: usize = 64 * 1024;
/// How many different pieces there are; no two neighbours are alike.
const PIECES: usize = 61;

/// So many bytes in pieces; the length is a multiple of a piece.
pub(crate) fn pieces(
    bytes: u64,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    let mut random = fastrand::Rng::with_seed(7);
    let mut all = vec![0; PIECES * PIECE_BYTES];
    random.fill(&mut all);
    let all = Bytes::from(all);
    let count = usize::try_from(bytes / PIECE_BYTES as u64).unwrap();
    stream::iter((0..count).map(move |number| {
        let start = number % PIECES * PIECE_BYTES;
        Ok(all.slice(start..start + PIECE_BYTES))
    }))
}
