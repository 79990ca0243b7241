// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The jobs of a shop that writes letters, and who does them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use forktex::queue::prelude::*;
use serde::{Deserialize, Serialize};

/// Tells a customer that the order came in. No account gets more than two letters at a time, and no shop
/// waits for another's letters.
#[derive(Job, Clone, Debug, Serialize, Deserialize)]
#[job(
    "order.confirm", queue = "mail", max_attempts = 3, timeout = "30s", backoff = ["20ms", "100ms"],
    tenant = "shop", limit_key = "shop", concurrency = 2,
)]
pub(crate) struct ConfirmOrder {
    pub(crate) shop: String,
    pub(crate) order: u64,
    pub(crate) to: String,
}

/// Counts the letters of a day, each night.
#[derive(Job, Clone, Debug, Default, Serialize, Deserialize)]
#[job(
    "letters.count",
    queue = "mail",
    cron = "0 2 * * *",
    timezone = "Europe/Berlin"
)]
pub(crate) struct CountLetters {}

/// The mail service cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error("the mail service does not answer")]
pub(crate) struct NoAnswer;

#[job_handler]
async fn confirm_order(job: ConfirmOrder, ctx: &JobContext, mailer: Resource<Mailer>) -> JobResult {
    if !job.to.contains('@') {
        return Err(JobError::fatal(format!(
            "order {} has no address",
            job.order
        )));
    }
    // The key is the same at each attempt: the service sends one letter, however often it is asked.
    mailer.send(&ctx.idempotency_key(), job.order)?;
    Ok(())
}

#[job_handler]
async fn count_letters(_: CountLetters, mailer: Resource<Mailer>) -> Result<(), NoAnswer> {
    tracing::info!(letters = mailer.sent().len(), "letters were sent");
    Ok(())
}

/// What stands for a mail service: it fails once, and sends one letter for each key.
#[derive(Debug, Default)]
pub(crate) struct Mailer {
    has_failed: AtomicBool,
    keys: Mutex<BTreeSet<(String, u64)>>,
}

impl Mailer {
    fn send(&self, key: &str, order: u64) -> Result<(), NoAnswer> {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            return Err(NoAnswer);
        }
        self.keys().insert((key.to_owned(), order));
        Ok(())
    }

    /// The orders whose letters were sent, in order, one for each letter.
    pub(crate) fn sent(&self) -> Vec<u64> {
        let mut orders: Vec<u64> = self.keys().iter().map(|(_, order)| *order).collect();
        orders.sort_unstable();
        orders
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<(String, u64)>> {
        self.keys
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
