// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The API of another company, served here on loopback: it filters by the least revenue, sorts by
//! revenue, and gives ten clients at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::client::{Client, clients};

/// How many clients it gives at once.
const PAGE_ROWS: usize = 10;

/// What it is asked.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Search {
    pub(crate) org: Uuid,
    pub(crate) revenue_min: Option<i64>,
    /// Sorted by revenue, the least first; `Some(true)` the greatest first.
    pub(crate) sort_descending: Option<bool>,
    /// Where the page before ended.
    pub(crate) after: Option<String>,
}

/// What it answers.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Answer {
    pub(crate) clients: Vec<Client>,
    pub(crate) after: Option<String>,
}

/// The API while it is served.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Served {
    org: Uuid,
    requests: Arc<AtomicUsize>,
}

impl Api {
    /// Serves it until the process ends. Only this organisation has clients there.
    pub(crate) async fn serve(org: Uuid) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(AtomicUsize::new(0));
        let served = Served {
            org,
            requests: Arc::clone(&requests),
        };
        let router = Router::new()
            .route("/search", post(search))
            .with_state(served);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, requests })
    }

    /// How many requests it has answered since the last call.
    pub(crate) fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

async fn search(State(served): State<Served>, Json(search): Json<Search>) -> Json<Answer> {
    served.requests.fetch_add(1, Ordering::Relaxed);
    let mut found = clients();
    let revenue_min = search.revenue_min.unwrap_or(i64::MIN);
    found.retain(|client| search.org == served.org && client.revenue >= revenue_min);
    match search.sort_descending {
        Some(true) => found.sort_by_key(|client| std::cmp::Reverse(client.revenue)),
        Some(false) => found.sort_by_key(|client| client.revenue),
        None => {}
    }
    let from: usize = search
        .after
        .and_then(|after| after.parse().ok())
        .unwrap_or(0);
    let to = from + PAGE_ROWS;
    let after = (to < found.len()).then(|| to.to_string());
    let clients = found.into_iter().skip(from).take(PAGE_ROWS).collect();
    Json(Answer { clients, after })
}
