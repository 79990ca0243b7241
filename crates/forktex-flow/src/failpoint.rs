// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Points at which a process may die: before and after each transaction of the store. Behind the
//! feature `failpoints`, for the murder tests alone; what happens at a point is up to the test.

use std::sync::OnceLock;

pub use crate::store::watched::points;

type Observer = Box<dyn Fn(&'static str) + Send + Sync>;

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Has the function called at each point that this process comes to, with the point's name, on the task
/// that comes there. The first that is given stays.
pub fn observe(observer: impl Fn(&'static str) + Send + Sync + 'static) {
    OBSERVER.get_or_init(|| Box::new(observer));
}

pub(crate) fn hit(point: &'static str) {
    if let Some(observer) = OBSERVER.get() {
        observer(point);
    }
}
