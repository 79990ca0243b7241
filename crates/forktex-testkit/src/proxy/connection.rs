// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One connection through the proxy: two streams of bytes, and the faults asked for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::Instant;

use super::commit_finder::CommitFinder;
use super::{Controls, reset};

const CHUNK_BYTES: usize = 64 * 1024;

/// Forwards until either side closes, or the test cuts.
pub(super) async fn serve(mut client: TcpStream, target: SocketAddr, controls: Arc<Controls>) {
    let mut cuts = controls.cuts.subscribe();
    let forwarded = async {
        let mut server = TcpStream::connect(target).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        // Set before the COMMIT goes out, so that its answer cannot slip through.
        let swallow = AtomicBool::new(false);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            ended = forward_requests(from_client, to_server, &controls, &swallow) => ended,
            ended = forward_answers(from_server, to_client, &controls, &swallow) => ended,
        }
    };
    let is_cut = tokio::select! {
        // A cut must not wait behind data that never ends.
        biased;
        _ = cuts.changed() => true,
        ended = forwarded => ended.is_err(),
    };
    if is_cut {
        reset(client);
    }
}

async fn forward_requests(
    mut client: ReadHalf<'_>,
    mut server: WriteHalf<'_>,
    controls: &Controls,
    swallow: &AtomicBool,
) -> io::Result<()> {
    let mut delay = controls.delay.subscribe();
    let mut finder = CommitFinder::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = client.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        hold_back(&mut delay).await;
        let data = &chunk[..length];
        if finder.finds_commit(data) && controls.drop_next_commit.swap(false, Ordering::SeqCst) {
            swallow.store(true, Ordering::SeqCst);
        }
        server.write_all(data).await?;
    }
}

async fn forward_answers(
    mut server: ReadHalf<'_>,
    mut client: WriteHalf<'_>,
    controls: &Controls,
    swallow: &AtomicBool,
) -> io::Result<()> {
    let mut delay = controls.delay.subscribe();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut swallowed = Vec::new();
    loop {
        let length = server.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        if swallow.load(Ordering::SeqCst) {
            swallowed.extend_from_slice(&chunk[..length]);
            if is_answered(&swallowed) {
                controls.commits_dropped.fetch_add(1, Ordering::SeqCst);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            continue;
        }
        if controls.is_mute.load(Ordering::SeqCst) {
            continue;
        }
        hold_back(&mut delay).await;
        client.write_all(&chunk[..length]).await?;
    }
}

/// Whether the server has answered the `COMMIT`: by `CommandComplete`, or by
/// `ReadyForQuery` after an error.
fn is_answered(answer: &[u8]) -> bool {
    const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
    const READY: &[u8] = b"Z\0\0\0\x05";
    let ready_starts = answer.len().saturating_sub(READY.len() + 1);
    answer
        .windows(COMMITTED.len())
        .any(|window| window == COMMITTED)
        || answer[ready_starts..].starts_with(READY)
}

/// Waits for the delay in force, which may change while it waits.
async fn hold_back(delay: &mut watch::Receiver<Duration>) {
    let arrived = Instant::now();
    loop {
        let current = *delay.borrow_and_update();
        let rest = current.saturating_sub(arrived.elapsed());
        if rest.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => return,
            changed = delay.changed() => if changed.is_err() { return },
        }
    }
}
