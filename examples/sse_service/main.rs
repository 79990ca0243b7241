// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A service over HTTP: it starts deployments, streams what happens to them, and takes signals.
//!
//! `sse_service` serves on a free port with a throwaway Postgres, speaks to itself once, and stops; it stops
//! in the same order on Ctrl-C. To copy: `handlers`, `error` and `serve` below. What is served is `deploy`.

mod client;
mod deploy;
mod error;
mod handlers;
mod round;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use forktex::flow::prelude::*;
use forktex_testkit::TestDatabase;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use handlers::Service;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "sse_service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let flow = Flow::builder(database.owner_url()).build().await?;
    flow.init().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    writeln!(io::stdout(), "serving on http://{address}")?;

    let stop = CancellationToken::new();
    let served = serve(listener, flow.clone(), stop.clone());
    let played = async {
        let played = tokio::select! {
            played = round::play(address) => played,
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        };
        stop.cancel();
        played
    };
    let (served, played) = tokio::join!(served, played);
    played?;
    served?;
    flow.close().await?;
    writeln!(io::stdout(), "sse_service: ok")?;
    Ok(())
}

/// Serves until it is told to stop. Then no request is taken any more, streams end, what is being
/// answered is answered, and at last the driver drains: what it runs is finished or handed back.
async fn serve(
    listener: TcpListener,
    flow: Flow,
    stop: CancellationToken,
) -> Result<(), Box<dyn Error>> {
    flow.start_driver().await?;
    let router = handlers::router(Service {
        flow: flow.clone(),
        stop: stop.clone(),
    });
    let served = axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    flow.stop_driver().await?;
    Ok(served?)
}
