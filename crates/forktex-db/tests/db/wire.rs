// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A relay between client and server that cuts the wire at a chosen moment, or not at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// When to cut the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// Not at all.
    Never,
    /// At the client's first `COMMIT`, which the server never gets.
    BeforeCommit,
    /// At the server's answer to the client's first `COMMIT`, which the client never gets.
    AfterCommit,
}

/// How often the client spoke and the server answered, over all relayed connections of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoundTrips(Arc<AtomicU64>);

impl RoundTrips {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Relays a database URL, and counts its round trips.
pub(crate) async fn counted(url: &str) -> (String, RoundTrips) {
    let counter = RoundTrips::default();
    (relay_to(url, Cut::Never, counter.clone()).await, counter)
}

/// Relays a database URL through a port of its own; gives the URL of that port.
///
/// On a runtime of one thread, the relay runs only while the client waits. So the client is made to
/// wait for every answer, however quick the server is.
pub(crate) async fn relayed(url: &str, cut: Cut) -> String {
    relay_to(url, cut, RoundTrips::default()).await
}

async fn relay_to(url: &str, cut: Cut, counter: RoundTrips) -> String {
    let mut url = url::Url::parse(url).unwrap();
    let server = (url.host_str().unwrap().to_owned(), url.port().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        unreachable!()
    };
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(address.port())).unwrap();
    url.set_query(Some("sslmode=disable"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server.clone()).await.unwrap();
            tokio::spawn(relay(client, server, cut, counter.clone()));
        }
    });
    url.into()
}

/// Copies both ways until the cut or the end. Returning drops, and so closes, both sockets.
async fn relay(mut client: TcpStream, mut server: TcpStream, cut: Cut, counter: RoundTrips) {
    let (mut from_client, mut from_server) = (vec![0; 65536], vec![0; 65536]);
    let mut committing = false;
    let mut server_spoke_last = true;
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(count @ 1..) = read else { return };
                if std::mem::replace(&mut server_spoke_last, false) {
                    counter.0.fetch_add(1, Ordering::SeqCst);
                }
                committing |= from_client[..count].windows(6).any(|bytes| bytes == b"COMMIT");
                if committing && matches!(cut, Cut::BeforeCommit) {
                    return;
                }
                server.write_all(&from_client[..count]).await.unwrap();
            }
            read = server.read(&mut from_server) => {
                let Ok(count @ 1..) = read else { return };
                server_spoke_last = true;
                if committing && matches!(cut, Cut::AfterCommit) {
                    return;
                }
                client.write_all(&from_server[..count]).await.unwrap();
            }
        }
    }
}
