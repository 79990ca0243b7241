// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows that are related: their links, and what the deletion of one means for the others.
//!
//! A link is only ever made between rows of one tenant: a row's register is part of its key, and a
//! register belongs to one tenant. What a deletion takes with it is planned as a whole before anything is
//! changed.

pub(crate) mod delete;
mod delete_plan;
pub(crate) mod link;

pub use delete_plan::{DeletePlan, PathStep, PlannedRows, RESTRICTIONS_LISTED_MAX, Restriction};
