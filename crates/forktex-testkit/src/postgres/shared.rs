// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The one server that all tests of a process share, found or started at the first call.
//!
//! It is never dropped: statics are not. The guardian stops it when the process ends.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::admin::Admin;
#[cfg(feature = "containers")]
use super::container;
use super::{Postgres, PostgresOptions};
use crate::TestkitError;

/// Names a running server to use instead of starting one.
pub(crate) const URL_VARIABLE: &str = "FORKTEX_TEST_POSTGRES_URL";

/// Waiting for this cell binds to no runtime: when the test that fills it is cancelled, another
/// takes over.
static SHARED: OnceCell<Shared> = OnceCell::const_new();

enum Shared {
    Running(Arc<Admin>),
    Started(Postgres),
    #[cfg(feature = "containers")]
    Contained(Box<container::Contained>),
}

/// The administrator of the shared server.
pub(crate) async fn admin() -> Result<Arc<Admin>, TestkitError> {
    let shared = SHARED.get_or_try_init(find_or_start).await?;
    Ok(Arc::clone(match shared {
        Shared::Running(admin) => admin,
        Shared::Started(postgres) => postgres.admin(),
        #[cfg(feature = "containers")]
        Shared::Contained(contained) => &contained.admin,
    }))
}

async fn find_or_start() -> Result<Shared, TestkitError> {
    if let Ok(url) = std::env::var(URL_VARIABLE)
        && !url.is_empty()
    {
        return Ok(Shared::Running(Arc::new(Admin::of_running_server(
            &url,
            URL_VARIABLE,
        )?)));
    }
    match Postgres::start(PostgresOptions::new()).await {
        #[cfg(feature = "containers")]
        Err(TestkitError::ServerMissing { .. }) => container::start(&PostgresOptions::new())
            .await
            .map(|contained| Shared::Contained(Box::new(contained))),
        started => started.map(Shared::Started),
    }
}
