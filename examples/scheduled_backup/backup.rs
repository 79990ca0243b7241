// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The backup: one step, which starts each night, and never while the one before still runs.

use std::sync::{Mutex, PoisonError};

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Backup {
    pub(crate) database: String,
    pub(crate) key: Option<String>,
}

/// What each backup starts with.
fn of_the_shop() -> Backup {
    Backup {
        database: "shop".to_owned(),
        key: None,
    }
}

/// Where the backups are kept; a service has an object storage here.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<Vec<String>>);

impl Shelf {
    /// Keeps a backup. The same key again replaces it, so that a step which runs again does no harm.
    fn put(&self, key: &str) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|kept| kept != key);
        keys.push(key.to_owned());
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }
}

#[scheduled(
    name = "cloud.backup.create", version = 1,
    cron = "0 2 * * *", timezone = "Europe/Berlin",
    overlap = skip, catch_up = one, input = of_the_shop,
    max_attempts = 5, backoff = ["1m", "10m"], timeout = "2h",
)]
pub(crate) async fn backup_create(
    ctx: &Ctx,
    state: &Backup,
    shelf: Resource<Shelf>,
) -> StepResult<BackupUpdate> {
    // A tick's backup is called after the tick, one by hand after its run.
    let named = ctx
        .metadata()
        .get("scheduled_for")
        .and_then(|tick| tick.as_str());
    let named = named.map_or_else(|| ctx.instance_id().to_string(), str::to_owned);
    let key = format!("{}/{named}.dump", state.database);
    shelf.put(&key);
    Ok(Backup::update().key(key))
}
