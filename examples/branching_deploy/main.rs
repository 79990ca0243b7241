// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A deployment that branches: kept, tuned and tried again, or rolled back.
//!
//! `branching_deploy` runs all three ways on a throwaway Postgres, and checks where each went. To copy:
//! `deploy`.

mod cloud;
mod deploy;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use forktex::flow::prelude::*;
use forktex_testkit::TestDatabase;
use tracing_subscriber::EnvFilter;

use cloud::Cloud;
use deploy::{Deploy, DeployAdvanced, Manifest};

/// Of an image with so much memory: the way that is expected, and how many servers are left then.
const CASES: [(&str, u32, &[&str], usize); 3] = [
    ("shop:1", 512, &["provision", "configure", "check"], 1),
    (
        "shop:2",
        128,
        &[
            "provision",
            "configure",
            "tune",
            "configure",
            "tune",
            "configure",
            "check",
        ],
        2,
    ),
    (
        "shop:broken",
        512,
        &["provision", "configure", "rollback"],
        2,
    ),
];

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
            let _ = writeln!(io::stderr(), "branching_deploy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = TestDatabase::create().await?;
    let cloud = Cloud::default();
    let flow = Flow::builder(database.owner_url())
        .resource(cloud.clone())
        .build()
        .await?;
    flow.init().await?;
    flow.start_driver().await?;
    let mut out = io::stdout();
    for (image, memory_mib, expected, servers) in CASES {
        let image = image.to_owned();
        let input = Deploy {
            manifest: Manifest { image, memory_mib },
            server_id: None,
            health: None,
            logs: Vec::new(),
        };
        let run = flow.start(DeployAdvanced, input).await?;
        let done = run.wait().await?;
        let way: Vec<&str> = done
            .nodes
            .iter()
            .map(|record| record.name.as_str())
            .collect();
        writeln!(out, "{}: {}", done.state.manifest.image, way.join(" -> "))?;
        if way != expected || cloud.count() != servers {
            let found = cloud.count();
            return Err(format!("expected {expected:?} and {servers} servers, not {found}").into());
        }
    }
    let drawing = flow.workflow("cloud.deploy.advanced")?.drawing();
    writeln!(out, "\n{}", drawing.to_mermaid())?;
    flow.close().await?;
    writeln!(out, "branching_deploy: ok")?;
    Ok(())
}
