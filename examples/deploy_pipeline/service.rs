// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The service around the pipeline: connects, lays the schema, runs a worker, starts a run.

use std::time::Duration;

use forktex::db::{Db, DbOptions};
use forktex::flow::{BuildError, Flow, Run, StartError};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::cloud::Cloud;
use crate::deploy::{DeployState, DeployUp, Manifest};
use crate::error::Error;
use crate::ledger::{self, Ledger};

/// Short, so that nobody waits long for a takeover. A service keeps the default of 30 s.
const LEASE: Duration = Duration::from_secs(2);

/// How long running steps may go on when the worker is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// How long stopping may take in all, the database being there or not.
const STOP_TIMEOUT: Duration = Duration::from_secs(4);

/// The organisation that deploys.
const ORG_ID: &str = "org-7";

pub(crate) async fn connect(url: &str) -> Result<Db, Error> {
    let options = DbOptions::new().application_name("deploy_pipeline");
    Ok(Db::connect(url, options).await?)
}

/// The flow of every process of this service. All give the same resources, whether they run steps or
/// only start and read runs.
pub(crate) async fn flow(db: &Db) -> Result<Flow, BuildError> {
    Flow::builder(db.clone())
        .resource(Cloud::new())
        .resource(Ledger::new(db.clone()))
        .lease(LEASE)
        .drain_timeout(DRAIN_TIMEOUT)
        .build()
        .await
}

/// Lays the schemas. The role must be the database's owner; the others need no such right.
pub(crate) async fn init(url: &str) -> Result<(), Error> {
    let db = connect(url).await?;
    flow(&db).await?.init().await?;
    ledger::create(&db).await?;
    db.close().await;
    Ok(())
}

/// Starts a deployment: once for each application, however often it is asked for.
pub(crate) async fn start(
    flow: &Flow,
    dns: Option<String>,
) -> Result<Run<DeployState>, StartError> {
    let manifest = Manifest {
        application: "shop".to_owned(),
        dns,
    };
    let key = format!("deploy-{}", manifest.application);
    flow.start(DeployUp, DeployState::new(ORG_ID, manifest))
        .metadata(json!({ "org_id": ORG_ID }))
        .idempotency_key(key)
        .await
}

/// Runs steps until the process is told to stop, then lets those that run finish.
pub(crate) async fn work(url: &str, until_stdin_closes: bool) -> Result<(), Error> {
    let db = connect(url).await?;
    let flow = flow(&db).await?;
    flow.start_driver().await?;

    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Error::Signal)?,
        () = stdin_closed(), if until_stdin_closes => {}
    }

    let close = async {
        flow.close().await?;
        db.close().await;
        Ok(())
    };
    tokio::time::timeout(STOP_TIMEOUT, close)
        .await
        .unwrap_or(Err(Error::NotStopped))
}

/// Resolves when whoever started this process has closed its input, or is gone.
async fn stdin_closed() {
    let (closed, heard) = tokio::sync::oneshot::channel();
    // A thread of its own: a read of the input cannot be cancelled.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = heard.await;
}
