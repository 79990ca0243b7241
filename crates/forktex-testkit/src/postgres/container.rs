// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Postgres in a container, where a Docker engine answers and the machine has no Postgres.
//!
//! It is for sharing only: a test cannot kill or pause it.

use std::sync::Arc;

use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _, TestcontainersError};

use super::admin::Admin;
use super::initdb_cache::{SUPERUSER, SUPERUSER_PASSWORD};
use super::{PostgresOptions, binaries};
use crate::TestkitError;
use crate::error::off_thread;
use crate::guardian::Guardian;

const IMAGE: (&str, &str) = ("postgres", "17-alpine");
const PORT: u16 = 5432;

/// A container that runs for as long as this value lives; its guardian removes it after a kill.
pub(super) struct Contained {
    pub(super) admin: Arc<Admin>,
    _container: ContainerAsync<GenericImage>,
    _guardian: Guardian,
}

/// Starts Postgres from its official image.
pub(super) async fn start(options: &PostgresOptions) -> Result<Contained, TestkitError> {
    let unavailable = |source: TestcontainersError| TestkitError::Container {
        remedy: binaries::REMEDY,
        source: Box::new(source),
    };
    let settings = options
        .all_settings()
        .into_iter()
        .map(|(name, value)| format!("-c{name}={value}"));
    let container = GenericImage::new(IMAGE.0, IMAGE.1)
        .with_exposed_port(PORT.tcp())
        // The image starts the server twice, first to set it up; the second start follows this.
        .with_wait_for(WaitFor::message_on_stdout(
            "PostgreSQL init process complete",
        ))
        .with_env_var("POSTGRES_USER", SUPERUSER)
        .with_env_var("POSTGRES_PASSWORD", SUPERUSER_PASSWORD)
        .with_cmd(settings)
        .start()
        .await
        .map_err(unavailable)?;
    let id = container.id().to_owned();
    let guardian = off_thread(move || Guardian::of_container(&id)).await?;
    let host = container.get_host().await.map_err(unavailable)?;
    let port = container
        .get_host_port_ipv4(PORT)
        .await
        .map_err(unavailable)?;
    let url = format!("postgres://{SUPERUSER}:{SUPERUSER_PASSWORD}@{host}:{port}/postgres");
    let admin = Admin::of_private_server(&url)?;
    admin.await_connection().await?;
    Ok(Contained {
        admin: Arc::new(admin),
        _container: container,
        _guardian: guardian,
    })
}
