// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The loads that this task is inside of, so that one which comes to itself again does not wait for
//! itself. What a load spawns as a task of its own is not seen as inside of it.

use std::iter;
use std::sync::Arc;

tokio::task_local! {
    static LOADING: Arc<Frame>;
}

/// A load that is being run.
#[derive(Debug)]
struct Frame {
    key: String,
    flight: Option<u64>,
    /// Whether it has a place of the load bound.
    is_bounded: bool,
    outer: Option<Arc<Frame>>,
}

/// The loads that a call is inside of, the innermost first.
#[derive(Clone, Debug)]
pub(super) struct Nesting(Option<Arc<Frame>>);

impl Nesting {
    /// Those of the caller.
    pub(super) fn current() -> Self {
        Self(LOADING.try_with(Arc::clone).ok())
    }

    /// Whether there is any.
    pub(super) fn is_nested(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the key is being loaded by one of them.
    pub(super) fn is_loading(&self, key: &str) -> bool {
        self.frames().any(|frame| frame.key == key)
    }

    /// Whether one of them has a place of the load bound. One that waited for another place inside of
    /// it could wait for itself.
    pub(super) fn is_bounded(&self) -> bool {
        self.frames().any(|frame| frame.is_bounded)
    }

    /// The flights that they lead.
    pub(super) fn flights(&self) -> Vec<u64> {
        self.frames().filter_map(|frame| frame.flight).collect()
    }

    /// Runs a load inside of them.
    pub(super) async fn enter<F: Future>(
        self,
        key: &str,
        flight: Option<u64>,
        is_bounded: bool,
        load: F,
    ) -> F::Output {
        let frame = Arc::new(Frame {
            key: key.to_owned(),
            flight,
            is_bounded,
            outer: self.0,
        });
        LOADING.scope(frame, load).await
    }

    fn frames(&self) -> impl Iterator<Item = &Frame> {
        iter::successors(self.0.as_deref(), |frame| frame.outer.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_load_knows_the_loads_around_it() {
        assert!(!Nesting::current().is_nested());
        let inner = async {
            let nesting = Nesting::current();
            assert!(nesting.is_loading("a") && nesting.is_loading("b"));
            assert!(nesting.is_bounded() && !nesting.is_loading("c"));
            assert_eq!(nesting.flights(), [1]);
        };
        let outer = async { Nesting::current().enter("b", None, true, inner).await };
        Nesting::current().enter("a", Some(1), false, outer).await;
        assert!(!Nesting::current().is_nested());
    }
}
