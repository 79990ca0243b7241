// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The schema that is there, as a document.

use crate::data::Data;
use crate::register::LoadedRegister;
use crate::schema::{RegisterDefinition, SchemaDocument};

/// The registers that a document speaks of: those that are stored, and not what tenants have added to
/// bound ones, which are defined in code.
pub(super) fn stored(registers: &[LoadedRegister], data: &Data) -> Vec<RegisterDefinition> {
    let mut stored: Vec<RegisterDefinition> = registers
        .iter()
        .filter(|register| data.bound_register(&register.name).is_none())
        .map(LoadedRegister::to_definition)
        .collect();
    stored.sort_by(|one, other| one.name.cmp(&other.name));
    stored
}

/// The same as a document.
pub(crate) fn document(registers: &[LoadedRegister], data: &Data) -> SchemaDocument {
    SchemaDocument {
        registers: stored(registers, data),
        ..SchemaDocument::default()
    }
}

/// What leads from what is there to the document.
pub(crate) fn changes_to(
    registers: &[LoadedRegister],
    data: &Data,
    wanted: &SchemaDocument,
) -> Vec<super::Change> {
    super::difference::difference(&stored(registers, data), wanted, true)
}
