// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What must be written anew when a field is renamed: the definitions that name it. Rows do not.

use crate::error::DataError;
use crate::field::FieldDefinition;
use crate::field_type::{FieldType, Rollup};
use crate::formula::Formula;
use crate::keys::{FieldKey, RegisterKey};
use crate::register::LoadedRegister;
use crate::relationship;

/// A definition that names the field, with the new name in it.
pub(super) struct Renamed {
    pub(super) register: RegisterKey,
    pub(super) field: FieldKey,
    pub(super) definition: FieldDefinition,
}

/// All definitions of a tenant that name the field `from` of the register `owner`.
pub(super) fn dependents(
    registers: &[LoadedRegister],
    owner: RegisterKey,
    from: &str,
    to: &str,
) -> Result<Vec<Renamed>, DataError> {
    let mut renamed = Vec::new();
    for register in registers {
        for field in &register.fields {
            let Some(field_type) =
                rewrite(register, owner, &field.definition.field_type, from, to)?
            else {
                continue;
            };
            let mut definition = field.definition.clone();
            definition.field_type = field_type;
            renamed.push(Renamed {
                register: register.key,
                field: field.key,
                definition,
            });
        }
    }
    Ok(renamed)
}

/// The type with the new name in it; none where it does not name the field.
fn rewrite(
    register: &LoadedRegister,
    owner: RegisterKey,
    field_type: &FieldType,
    from: &str,
    to: &str,
) -> Result<Option<FieldType>, DataError> {
    let leads_to_owner = |through: &str| {
        relationship::find(&register.relationships, register.key, through)
            .is_some_and(|path| path.other() == owner)
    };
    Ok(match field_type {
        FieldType::Formula { expression } if register.key == owner => {
            let formula = Formula::parse(expression)?;
            let names_it = formula.names().contains(&from);
            names_it.then(|| FieldType::Formula {
                expression: formula.rename_field(from, to),
            })
        }
        FieldType::Lookup { through, field } if field == from && leads_to_owner(through) => {
            Some(FieldType::Lookup {
                through: through.clone(),
                field: to.to_owned(),
            })
        }
        FieldType::Rollup { through, aggregate }
            if aggregate.field() == Some(from) && leads_to_owner(through) =>
        {
            Some(FieldType::Rollup {
                through: through.clone(),
                aggregate: rewrite_rollup(aggregate, to),
            })
        }
        _ => None,
    })
}

fn rewrite_rollup(aggregate: &Rollup, to: &str) -> Rollup {
    let to = to.to_owned();
    match aggregate {
        Rollup::Sum(_) => Rollup::Sum(to),
        Rollup::Average(_) => Rollup::Average(to),
        Rollup::Min(_) => Rollup::Min(to),
        Rollup::Max(_) => Rollup::Max(to),
        Rollup::Count => Rollup::Count,
        Rollup::Exists => Rollup::Exists,
    }
}
