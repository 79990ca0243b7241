// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The jobs that a worker holds: from when they are claimed until their outcome is written, however their
//! tasks end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::attempt::Signals;
use crate::backend::{Lease, Renewed};
use crate::identifier::LeaseToken;

/// The leases of a worker, by token: a job that was lost may be held again meanwhile.
#[derive(Default)]
pub(super) struct Leases {
    /// A `std` mutex: nothing waits while it is held.
    held: Mutex<HashMap<LeaseToken, Entry>>,
}

struct Entry {
    lease: Lease,
    signals: Signals,
}

/// One lease; given up when it is dropped.
pub(super) struct Held {
    leases: Arc<Leases>,
    pub(super) lease: Lease,
    pub(super) signals: Signals,
}

impl Leases {
    /// Begins to hold a lease.
    pub(super) fn hold(self: &Arc<Self>, lease: Lease, abandoned: CancellationToken) -> Held {
        let signals = Signals {
            abandoned,
            ..Signals::default()
        };
        let entry = Entry {
            lease: lease.clone(),
            signals: signals.clone(),
        };
        self.locked().insert(lease.token, entry);
        Held {
            leases: Arc::clone(self),
            lease,
            signals,
        }
    }

    /// All leases.
    pub(super) fn all(&self) -> Vec<Lease> {
        let held = self.locked();
        held.values().map(|entry| entry.lease.clone()).collect()
    }

    /// Tells the attempts what a renewal found. Returns how many leases were lost that were not known to
    /// be.
    pub(super) fn tell(&self, leases: &[Lease], answers: &[Renewed]) -> usize {
        let held = self.locked();
        let mut lost = 0;
        for (lease, answer) in leases.iter().zip(answers) {
            // It may have been settled meanwhile, and then nobody is lost.
            let Some(entry) = held.get(&lease.token) else {
                continue;
            };
            match answer {
                Renewed::Held => {}
                Renewed::CancelAsked => entry.signals.cancelled.cancel(),
                Renewed::Lost => {
                    lost += usize::from(!entry.signals.lost.is_cancelled());
                    entry.signals.lost.cancel();
                }
            }
        }
        lost
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<LeaseToken, Entry>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leases.locked().remove(&self.lease.token);
    }
}
