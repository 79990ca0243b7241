// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The bodies of all steps: they count themselves, and note when they began where that is asked for.
//! One process measures one engine, so there is one count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

static BEGUN: AtomicU64 = AtomicU64::new(0);
static AWAITED: AtomicU64 = AtomicU64::new(u64::MAX);
static ARE_THERE: Notify = Notify::const_new();
static NOTING: AtomicBool = AtomicBool::new(false);
static INSTANTS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

/// What a step does: nothing.
pub(crate) fn nothing() {
    if NOTING.load(Ordering::Relaxed) {
        let now = Instant::now();
        INSTANTS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(now);
    }
    let begun = BEGUN.fetch_add(1, Ordering::SeqCst) + 1;
    if begun >= AWAITED.load(Ordering::SeqCst) {
        ARE_THERE.notify_one();
    }
}

/// How many steps began in this process.
pub(crate) fn begun() -> u64 {
    BEGUN.load(Ordering::SeqCst)
}

/// Waits until so many steps began in this process.
pub(crate) async fn until(count: u64) {
    AWAITED.store(count, Ordering::SeqCst);
    while begun() < count {
        ARE_THERE.notified().await;
    }
}

/// From now on the beginnings are noted.
pub(crate) fn note() {
    NOTING.store(true, Ordering::Relaxed);
}

/// The beginnings noted since the last call.
pub(crate) fn noted() -> Vec<Instant> {
    std::mem::take(&mut *INSTANTS.lock().unwrap_or_else(PoisonError::into_inner))
}
