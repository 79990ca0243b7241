// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A durable deployment: the state, the steps and the pipeline `cloud.deploy.up`.
//!
//! Nothing here knows of processes, leases or recovery; a step is an async function of the state.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::cloud::{Cloud, CloudError};
use crate::ledger::Ledger;

/// What a deployment knows. Every step returns what it changed of it.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DeployState {
    pub(crate) org_id: String,
    pub(crate) manifest: Manifest,
    pub(crate) server_id: Option<String>,
    #[reduce(append)]
    pub(crate) logs: Vec<String>,
}

/// What is to be deployed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) application: String,
    /// A domain of the customer's own.
    pub(crate) dns: Option<String>,
}

impl Manifest {
    /// Where the application answers.
    fn address(&self) -> String {
        self.dns
            .clone()
            .unwrap_or_else(|| format!("{}.cloud.test", self.application))
    }
}

impl DeployState {
    pub(crate) fn new(org_id: &str, manifest: Manifest) -> Self {
        Self {
            org_id: org_id.to_owned(),
            manifest,
            server_id: None,
            logs: Vec::new(),
        }
    }

    /// The server that `provision` made. No retry can help where there is none.
    fn server(&self) -> StepResult<&str> {
        self.server_id
            .as_deref()
            .ok_or_else(|| StepError::fatal("no server was provisioned"))
    }
}

/// Makes the server. Its process may die after the cloud has made it and before the checkpoint is
/// committed: the step then runs again, and the same key gives the same server.
#[step]
pub(crate) async fn provision(
    ctx: &Ctx,
    state: &DeployState,
    cloud: Resource<Cloud>,
    ledger: Resource<Ledger>,
) -> StepResult<DeployStateUpdate> {
    let work = async {
        let server_id = cloud
            .create(&state.manifest, &ctx.idempotency_key())
            .await?;
        let log = format!("made {server_id} for {}", state.org_id);
        Ok(DeployState::update().server_id(server_id).logs([log]))
    };
    ledger.record(ctx, work).await
}

/// Installs the application. A new server lets nobody in at first, so the first attempt fails.
#[step(max_attempts = 5, backoff = ["500ms", "2s"], timeout = "10s")]
pub(crate) async fn configure(
    ctx: &Ctx,
    state: &DeployState,
    cloud: Resource<Cloud>,
    ledger: Resource<Ledger>,
) -> StepResult<DeployStateUpdate> {
    let work = async {
        let server_id = state.server()?;
        cloud.log_in().await;
        if ctx.attempt() == 1 {
            let server_id = server_id.to_owned();
            return Err(CloudError::Booting { server_id }.into());
        }
        cloud.install().await;
        let log = format!("installed {} on {server_id}", state.manifest.application);
        Ok(DeployState::update().logs([log]))
    };
    ledger.record(ctx, work).await
}

/// Points the customer's own domain at the server.
#[step]
pub(crate) async fn setup_dns(
    ctx: &Ctx,
    state: &DeployState,
    cloud: Resource<Cloud>,
    ledger: Resource<Ledger>,
) -> StepResult<DeployStateUpdate> {
    let work = async {
        cloud
            .point(&state.manifest.address(), state.server()?)
            .await;
        let log = format!("pointed {} at the server", state.manifest.address());
        Ok(DeployState::update().logs([log]))
    };
    ledger.record(ctx, work).await
}

/// Looks the address up.
#[step]
pub(crate) async fn verify_dns(
    ctx: &Ctx,
    state: &DeployState,
    cloud: Resource<Cloud>,
    ledger: Resource<Ledger>,
) -> StepResult<DeployStateUpdate> {
    let work = async {
        cloud.look_up(&state.manifest.address()).await;
        let log = format!("{} resolves", state.manifest.address());
        Ok(DeployState::update().logs([log]))
    };
    ledger.record(ctx, work).await
}

/// Waits for the certificate.
#[step]
pub(crate) async fn verify_ssl(
    ctx: &Ctx,
    state: &DeployState,
    cloud: Resource<Cloud>,
    ledger: Resource<Ledger>,
) -> StepResult<DeployStateUpdate> {
    let work = async {
        cloud.shake_hands(&state.manifest.address()).await;
        let log = format!("{} has a certificate", state.manifest.address());
        Ok(DeployState::update().logs([log]))
    };
    ledger.record(ctx, work).await
}

/// Asks the application how it is.
#[step]
pub(crate) async fn health_check(
    ctx: &Ctx,
    state: &DeployState,
    cloud: Resource<Cloud>,
    ledger: Resource<Ledger>,
) -> StepResult<DeployStateUpdate> {
    let work = async {
        cloud.ping(state.server()?).await;
        Ok(DeployState::update().logs(["healthy"]))
    };
    ledger.record(ctx, work).await
}

/// Brings an application up on a server of its own.
#[pipeline(
    name = "cloud.deploy.up",
    version = 1,
    state = DeployState,
    steps = [
        provision,
        configure,
        step(setup_dns, when = |state| state.manifest.dns.is_some()),
        parallel(verify_dns, verify_ssl),
        step(health_check, name = "final_check"),
    ],
)]
pub(crate) struct DeployUp;

#[cfg(test)]
mod tests {
    //! A step is called as the plain function that it is.

    use super::*;

    fn state() -> DeployState {
        let manifest = Manifest {
            application: "shop".to_owned(),
            dns: None,
        };
        DeployState::new("org-7", manifest)
    }

    #[tokio::test]
    async fn provision_makes_one_server_for_one_key() {
        let (ctx, state) = (Ctx::for_test(), state());
        let cloud = Resource::new(Cloud::instant());
        let ledger = Resource::new(Ledger::in_memory());

        for _ in 0..2 {
            let update = provision(&ctx, &state, cloud.clone(), ledger.clone()).await;
            assert!(update.is_ok(), "{update:?}");
        }

        assert_eq!(cloud.servers(), 1);
    }

    #[tokio::test]
    async fn configure_fails_while_the_server_boots() {
        let ctx = Ctx::for_test();
        let mut state = state();
        state.server_id = Some("srv-1".to_owned());
        let cloud = Resource::new(Cloud::instant());
        let ledger = Resource::new(Ledger::in_memory());

        let outcome = configure(&ctx, &state, cloud, ledger.clone()).await;

        let error = outcome.err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("server srv-1 is still booting"));
        assert_eq!(ledger.events_in_memory(), ["started"]);
    }

    #[tokio::test]
    async fn without_a_server_no_retry_is_made() {
        let cloud = Resource::new(Cloud::instant());
        let ledger = Resource::new(Ledger::in_memory());

        let outcome = health_check(&Ctx::for_test(), &state(), cloud, ledger).await;

        assert!(outcome.is_err_and(|error| error.is_fatal()));
    }
}
