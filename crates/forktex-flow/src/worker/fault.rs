// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What goes wrong on purpose, in a flow in memory.

use std::sync::{Arc, Mutex, PoisonError};

use super::incarnation::Incarnation;
use crate::error::failure::{StepFailure, StepFailureKind};
use crate::identifier::NodeName;
use crate::state::delta::Delta;
use crate::store::memory::MemoryStore;

/// Something that goes wrong at a node of a flow in memory; see
/// [`InMemoryFlow::inject`](crate::InMemoryFlow::inject).
///
/// It happens once, at the first attempt that it fits, unless it is said otherwise.
#[derive(Debug, Clone)]
#[must_use = "nothing goes wrong until it is injected"]
pub struct Fault {
    node: String,
    visit: Option<u32>,
    attempt: Option<u32>,
    kind: Kind,
    left: u32,
}

#[derive(Debug, Clone)]
enum Kind {
    Fails { message: String, is_fatal: bool },
    CrashesBefore,
    CrashesAfter,
}

impl Fault {
    /// The attempt errs, and its body does not run.
    pub fn fails(node: impl Into<String>, message: impl Into<String>) -> Self {
        let (message, is_fatal) = (message.into(), false);
        Self::new(node.into(), Kind::Fails { message, is_fatal })
    }

    /// The attempt errs as one that is not to be tried again, and its body does not run.
    pub fn fails_for_good(node: impl Into<String>, message: impl Into<String>) -> Self {
        let (message, is_fatal) = (message.into(), true);
        Self::new(node.into(), Kind::Fails { message, is_fatal })
    }

    /// The worker dies before the body runs: all that it holds is taken up again by the workers that
    /// are left, or by itself, which comes back at once.
    pub fn crashes(node: impl Into<String>) -> Self {
        Self::new(node.into(), Kind::CrashesBefore)
    }

    /// The worker dies when the body has ended, and before that is recorded: the body runs again.
    pub fn crashes_after(node: impl Into<String>) -> Self {
        Self::new(node.into(), Kind::CrashesAfter)
    }

    fn new(node: String, kind: Kind) -> Self {
        Self {
            node,
            visit: None,
            attempt: None,
            kind,
            left: 1,
        }
    }

    /// Only at this visit of the node, from 1.
    pub fn visit(mut self, visit: u32) -> Self {
        self.visit = Some(visit);
        self
    }

    /// Only at this attempt, from 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// So many times instead of once.
    pub fn times(mut self, times: u32) -> Self {
        self.left = times;
        self
    }

    fn fits(&self, attempt: &Attempt<'_>) -> bool {
        self.left > 0
            && self.node == attempt.node.as_str()
            && self.visit.is_none_or(|visit| visit == attempt.visit)
            && self.attempt.is_none_or(|number| number == attempt.number)
    }
}

/// An attempt that is about to be made.
pub(super) struct Attempt<'a> {
    pub(super) node: &'a NodeName,
    pub(super) visit: u32,
    pub(super) number: u32,
}

/// The faults that have not happened yet.
#[derive(Debug)]
pub(crate) struct Faults {
    store: MemoryStore,
    planned: Mutex<Vec<Fault>>,
}

impl Faults {
    pub(crate) fn new(store: MemoryStore) -> Self {
        Self {
            store,
            planned: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, fault: Fault) {
        self.planned().push(fault);
    }

    fn planned(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong with an attempt, if anything does.
    pub(super) fn take(&self, attempt: &Attempt<'_>) -> Option<PlannedFault> {
        let mut planned = self.planned();
        let fault = planned.iter_mut().find(|fault| fault.fits(attempt))?;
        fault.left -= 1;
        let kind = fault.kind.clone();
        planned.retain(|fault| fault.left > 0);
        let store = self.store.clone();
        Some(PlannedFault { store, kind })
    }
}

/// What goes wrong with one attempt.
pub(super) struct PlannedFault {
    store: MemoryStore,
    kind: Kind,
}

impl PlannedFault {
    pub(super) async fn happen(
        self,
        incarnation: Arc<Incarnation>,
        body: impl Future<Output = Result<Delta, StepFailure>>,
    ) -> Result<Delta, StepFailure> {
        match &self.kind {
            Kind::Fails { message, is_fatal } => {
                let kind = if *is_fatal {
                    StepFailureKind::Fatal
                } else {
                    StepFailureKind::Error
                };
                return Err(StepFailure::new(kind, message));
            }
            Kind::CrashesBefore => {}
            Kind::CrashesAfter => drop(body.await),
        }
        self.store.lose(incarnation.worker_id);
        incarnation.tell_and_abandon();
        // Dropped with the run.
        std::future::pending().await
    }
}
