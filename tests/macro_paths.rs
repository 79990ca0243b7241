// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The same workflow, the same cached function and the same job through the facade, and through a dependency of
//! another name. Neither package is a dependency under its own name, so an expansion that named it would
//! not compile. (The third way, the crate alone, is in that crate's own tests.)
#![forbid(unsafe_code)]

#[path = "macro_paths/cached.rs"]
mod cached;
#[path = "macro_paths/facade.rs"]
mod facade;
#[path = "macro_paths/queue.rs"]
mod queue;
#[path = "macro_paths/renamed.rs"]
mod renamed;

use renamed_flow::definition::Workflow;

/// The facade re-exports the very same traits.
#[test]
fn both_ways_make_the_same_workflow() {
    let (one, other) = (facade::Ship::declare(), renamed::Ship::declare());
    assert_eq!(one.topology(), other.topology());
    assert_eq!(one.name(), "facade.ship");
    assert_eq!(other.name(), "renamed.ship");
    assert_eq!(facade::SelfState::declare().topology().nodes.len(), 1);
    assert_eq!(renamed::SelfState::declare().topology().nodes.len(), 1);
    let swept = renamed::SweepShelves::declare();
    assert_eq!(swept.topology().nodes[0].name, "sweep_shelves");
    assert_eq!(swept.schedule().unwrap().timezone_name(), "Asia/Tokyo");
    assert_eq!(renamed::Weigh::declare().topology().edges.len(), 4);
    let (one, other) = (facade::Collect::declare(), renamed::Collect::declare());
    assert_eq!(one.topology(), other.topology());
    assert_eq!(one.topology().edges.len(), 5);
    let (one, other) = (facade::OwnState::declare(), renamed::OwnState::declare());
    assert_eq!(one.topology(), other.topology());
}
