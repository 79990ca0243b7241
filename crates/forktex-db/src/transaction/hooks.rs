// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is to happen after a commit. It holds the hooks and runs them; it does not decide when.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt;
use tracing::Instrument;

/// Pending hooks, oldest first.
#[derive(Default)]
pub(super) struct Hooks(Vec<Hook>);

/// The mutex is never locked: it makes a transaction `Sync` although a hook need not be.
type Hook = std::sync::Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Hooks {
    pub(super) fn push(&mut self, hook: impl Future<Output = ()> + Send + 'static) {
        self.0.push(std::sync::Mutex::new(Box::pin(hook)));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets the hooks that a nested transaction registered.
    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Runs them all, in order, in a task that outlives the caller.
    pub(super) async fn run(self) {
        if self.0.is_empty() {
            return;
        }
        let hooks = async move {
            for hook in self.0 {
                let Ok(hook) = hook.into_inner() else {
                    continue;
                };
                if AssertUnwindSafe(hook).catch_unwind().await.is_err() {
                    tracing::error!("a hook after a commit panicked; the commit stands");
                }
            }
        };
        // The task cannot panic, and is cancelled only with the runtime.
        let _ = tokio::spawn(hooks.in_current_span()).await;
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
