// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A service that takes pictures from a browser: a ticket, an upload that passes it by, a check of
//! what arrived, and a link that ends.
//!
//! `uploads` serves a page on a free port until Ctrl-C, over a folder of its own or the one that it
//! is given; `uploads --demo` speaks to itself by HTTP and stops. To copy: `service` and `page.html`.
//! On S3 or GCS the same code signs for them; then there is no router of files.

mod client;
mod demo;
mod service;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use forktex::storage::{FolderConfig, Secret, Storage, StorageConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

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
            let _ = writeln!(io::stderr(), "uploads: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    let (mut is_demo, mut named) = (false, None);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--demo" => is_demo = true,
            option if option.starts_with('-') => {
                return Err("usage: uploads [--demo] [FOLDER]".into());
            }
            folder => named = Some(PathBuf::from(folder)),
        }
    }
    if let Some(folder) = named {
        return serve(&folder, is_demo).await;
    }
    let folder = std::env::temp_dir().join(format!("forktex-uploads-{}", Uuid::now_v7()));
    let served = serve(&folder, is_demo).await;
    // It is not there where the service did not even open it.
    let _ = std::fs::remove_dir_all(&folder);
    served
}

/// Serves until Ctrl-C, or until the demo is played.
async fn serve(folder: &Path, is_demo: bool) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let storage = open(folder, &format!("http://{address}{}", service::FILES)).await?;
    let router = service::router(storage)?;
    say(format_args!("serving on http://{address}"))?;

    let stop = CancellationToken::new();
    let served =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let played = async {
        let played = if is_demo {
            demo::play(address).await
        } else {
            tokio::signal::ctrl_c().await.map_err(Into::into)
        };
        stop.cancel();
        played
    };
    let (served, played) = tokio::join!(served.into_future(), played);
    played?;
    served?;
    if is_demo {
        say("uploads: ok")?;
    }
    Ok(())
}

/// A bucket in a folder. Its links lead to this service.
///
/// The keys are new at each start, so that no link or ticket outlives the process. A service that
/// runs more than once takes them from its configuration.
async fn open(folder: &Path, base_url: &str) -> Outcome<Storage> {
    let bucket = FolderConfig::new(folder).serve_at(base_url, new_key());
    let config = StorageConfig::new(bucket).ticket_key(new_key());
    Ok(Storage::open(config).await?)
}

fn new_key() -> Secret {
    let halves = [Uuid::new_v4(), Uuid::new_v4()];
    Secret::from(halves.map(|half| half.simple().to_string()).concat())
}

fn say(line: impl Display) -> Outcome {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    // Whoever waits for the address reads it from a pipe.
    out.flush()?;
    Ok(())
}
