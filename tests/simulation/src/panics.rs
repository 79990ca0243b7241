// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Panics that nobody planned: an assertion of the engine that does not hold ends a task, and must not
//! pass unseen.

use std::cell::RefCell;

use crate::cast::ON_PURPOSE;

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// From now on panics are kept and not printed.
pub(crate) fn keep() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("no message");
        if text != ON_PURPOSE {
            let place = panic
                .location()
                .map(ToString::to_string)
                .unwrap_or_default();
            SEEN.with_borrow_mut(|seen| seen.push(format!("{text} at {place}")));
        }
    }));
}

/// Forgets those of an earlier world.
pub(crate) fn forget() {
    SEEN.take();
}

/// Those of this world.
pub(crate) fn taken() -> Vec<String> {
    SEEN.take()
}
