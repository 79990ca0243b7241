// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tables that tenants make themselves, in the browser: a tenant adds a field and sees it at once.
//!
//! `registers` serves a page on a free port until Ctrl-C, on a throwaway Postgres; `registers --demo`
//! speaks to the same router by HTTP and stops. To copy: `service` and `page.html`.

mod client;
mod demo;
mod service;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use forktex::data::Data;
use forktex::db::{Db, DbOptions};
use forktex_testkit::TestDatabase;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

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
            let _ = writeln!(io::stderr(), "registers: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let mut is_demo = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--demo" => is_demo = true,
            _ => return Err("usage: registers [--demo]".into()),
        }
    }
    let database = TestDatabase::create().await?;
    let owner = Db::connect(database.owner_url(), DbOptions::new()).await?;
    Data::new(&owner).migrate().await?;
    owner.close().await;

    // The service's own role owns nothing, and sees the rows of one tenant at a time.
    let db = Db::connect(database.url(), DbOptions::new()).await?;
    serve(&Data::new(&db), is_demo).await?;
    db.close().await;
    if is_demo {
        say("registers: ok")?;
    }
    Ok(())
}

/// Serves until Ctrl-C, or until the demo is played.
async fn serve(data: &Data, is_demo: bool) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    say(format_args!("serving on http://{address}"))?;

    let stop = CancellationToken::new();
    let served = axum::serve(listener, service::router(data.clone()))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    let played = async {
        let played = if is_demo {
            demo::play(address).await
        } else {
            tokio::signal::ctrl_c().await.map_err(Into::into)
        };
        stop.cancel();
        played
    };
    let (served, (), played) =
        tokio::join!(served.into_future(), service::maintain(data, &stop), played);
    played?;
    served?;
    Ok(())
}

fn say(line: impl Display) -> Outcome {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    // Whoever waits for the address reads it from a pipe.
    out.flush()?;
    Ok(())
}
