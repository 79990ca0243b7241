// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The checks of one definition by itself. The first fault is told.

use std::collections::BTreeSet;

use time::{Date, OffsetDateTime};

use super::FieldDefinition;
use super::error::DefinitionProblem;
use crate::coerce;
use crate::custom_type::TypeRegistry;
use crate::error::nearest;
use crate::field_name::check_name;
use crate::field_type::{EnumOptions, FieldType, Pattern, Rollup, TextRules};
use crate::limits::{
    DESCRIPTION_CHARACTERS_MAX, ENUM_OPTION_CHARACTERS_MAX, ENUM_OPTIONS_MAX,
    FORMULA_CHARACTERS_MAX, INDEXED_TEXT_LENGTH_MAX, JSON_BYTES_MAX, LABEL_CHARACTERS_MAX,
    TEXT_LENGTH_MAX,
};
use crate::validate::SCALE_MAX;

type Checked = Result<(), DefinitionProblem>;

/// Checks a definition by itself.
pub(super) fn check(definition: &FieldDefinition, types: &TypeRegistry) -> Checked {
    check_name(&definition.name).map_err(DefinitionProblem::Name)?;
    check_words(definition)?;
    if let Some(misuse) = &definition.misuse {
        return Err(misuse.clone());
    }
    check_type(definition, types)?;
    check_abilities(definition, types)?;
    check_default(definition, types)
}

fn check_words(definition: &FieldDefinition) -> Checked {
    let words = [
        ("label", &definition.label, LABEL_CHARACTERS_MAX),
        (
            "description",
            &definition.description,
            DESCRIPTION_CHARACTERS_MAX,
        ),
    ];
    for (what, text, max) in words {
        let Some(text) = text else { continue };
        if text.chars().count() > max {
            return Err(DefinitionProblem::TooLong { what, max });
        }
        if text.contains('\0') {
            return Err(DefinitionProblem::NulCharacter { what });
        }
    }
    Ok(())
}

fn check_type(definition: &FieldDefinition, types: &TypeRegistry) -> Checked {
    match &definition.field_type {
        FieldType::Text(rules) => check_text(definition, rules),
        FieldType::Integer(rules) => check_range(rules.minimum, rules.maximum),
        FieldType::Decimal(rules) => {
            if let Some(scale) = rules.scale.filter(|scale| *scale > SCALE_MAX) {
                return Err(beyond("scale", scale as usize, SCALE_MAX as usize));
            }
            check_range(rules.minimum, rules.maximum)
        }
        FieldType::Date(rules) => {
            check_years([rules.minimum, rules.maximum].into_iter().flatten())?;
            check_range(rules.minimum, rules.maximum)
        }
        FieldType::Datetime(rules) => {
            let bounds = [rules.minimum, rules.maximum].into_iter().flatten();
            check_years(bounds.map(OffsetDateTime::date))?;
            check_range(rules.minimum, rules.maximum)
        }
        FieldType::Enum(options) => check_options(options),
        FieldType::Json { bytes_max } => match bytes_max {
            Some(given) if *given > JSON_BYTES_MAX => {
                Err(beyond("bytes_max", *given, JSON_BYTES_MAX))
            }
            _ => Ok(()),
        },
        FieldType::Reference { relationship } => check_other_name("relationship", relationship),
        FieldType::Lookup { through, field } => {
            check_other_name("through", through)?;
            check_other_name("field", field)
        }
        FieldType::Rollup { through, aggregate } => {
            check_other_name("through", through)?;
            check_rollup(aggregate)
        }
        FieldType::Formula { expression } => check_expression(expression),
        FieldType::Custom { custom_type, .. } => check_custom(custom_type, types),
        FieldType::Number | FieldType::Boolean | FieldType::Uuid => Ok(()),
    }
}

fn check_text(definition: &FieldDefinition, rules: &TextRules) -> Checked {
    let is_keyed = definition.indexed || definition.unique;
    let (what, max) = if is_keyed {
        ("length, being indexed or unique,", INDEXED_TEXT_LENGTH_MAX)
    } else {
        ("length", TEXT_LENGTH_MAX)
    };
    let length_max = definition.text_length_max();
    if length_max > max {
        return Err(beyond(what, length_max, max));
    }
    if rules.length_min.is_some_and(|min| min > length_max) {
        return Err(DefinitionProblem::EmptyRange { what: "length" });
    }
    let pattern = rules.pattern.as_ref();
    if pattern.is_some_and(|pattern| pattern.as_str().contains('\0')) {
        return Err(DefinitionProblem::NulCharacter { what: "pattern" });
    }
    match pattern.and_then(Pattern::fault) {
        None => Ok(()),
        Some(reason) => Err(DefinitionProblem::Pattern {
            reason: reason.to_owned(),
        }),
    }
}

fn check_range<T: PartialOrd>(minimum: Option<T>, maximum: Option<T>) -> Checked {
    match (minimum, maximum) {
        (Some(minimum), Some(maximum)) if minimum > maximum => {
            Err(DefinitionProblem::EmptyRange { what: "range" })
        }
        _ => Ok(()),
    }
}

/// Bounds in years that no value can have would not even be read again.
fn check_years(mut bounds: impl Iterator<Item = Date>) -> Checked {
    match bounds.find(|bound| bound.year() < 0) {
        None => Ok(()),
        Some(_) => Err(DefinitionProblem::BeforeYearZero),
    }
}

fn check_options(options: &EnumOptions) -> Checked {
    let count = options.options.len();
    if count == 0 {
        return Err(DefinitionProblem::NoOptions);
    }
    if count > ENUM_OPTIONS_MAX {
        return Err(beyond("number of options", count, ENUM_OPTIONS_MAX));
    }
    let mut keys = BTreeSet::new();
    for (index, option) in options.options.iter().enumerate() {
        let label = option.label.as_deref().unwrap_or_default();
        let reason = if option.key.is_empty() {
            "its key is empty"
        } else if option.key.chars().count() > ENUM_OPTION_CHARACTERS_MAX {
            "its key has more than 100 characters"
        } else if label.chars().count() > LABEL_CHARACTERS_MAX {
            "its label has more than 200 characters"
        } else if option.key.contains('\0') || label.contains('\0') {
            "it has a NUL character"
        } else if !keys.insert(option.key.as_str()) {
            "an option before it has the same key"
        } else {
            continue;
        };
        return Err(DefinitionProblem::Option {
            number: index + 1,
            reason,
        });
    }
    Ok(())
}

fn check_rollup(aggregate: &Rollup) -> Checked {
    match aggregate.field() {
        Some(field) => check_other_name("field", field),
        None => Ok(()),
    }
}

fn check_expression(expression: &str) -> Checked {
    if expression.contains('\0') {
        return Err(DefinitionProblem::NulCharacter { what: "expression" });
    }
    let length = expression.chars().count();
    if expression.trim().is_empty() {
        return Err(DefinitionProblem::EmptyFormula);
    }
    if length > FORMULA_CHARACTERS_MAX {
        return Err(beyond(
            "expression's length",
            length,
            FORMULA_CHARACTERS_MAX,
        ));
    }
    Ok(())
}

fn check_custom(name: &str, types: &TypeRegistry) -> Checked {
    if types.get(name).is_some() {
        return Ok(());
    }
    Err(DefinitionProblem::UnknownType {
        name: name.chars().take(100).collect(),
        nearest: nearest(name, types.names()),
    })
}

fn check_other_name(what: &'static str, name: &str) -> Checked {
    check_name(name).map_err(|problem| DefinitionProblem::OtherName { what, problem })
}

/// Whether the type can be required, unique, indexed and searched for, as it is asked to be.
fn check_abilities(definition: &FieldDefinition, types: &TypeRegistry) -> Checked {
    let field_type = &definition.field_type;
    let refuse = |option| {
        Err(DefinitionProblem::NotForType {
            option,
            field_type: field_type.name(),
        })
    };
    if definition.required && field_type.is_read_only() {
        return refuse("required");
    }
    // What is not known yet is checked when the field is applied, and its kind is known.
    let Some(kind) = definition.kind(types) else {
        return if definition.unique {
            refuse("unique")
        } else {
            Ok(())
        };
    };
    let able = field_type.capabilities_as(kind);
    let asked = [
        ("unique", definition.unique, able.unique),
        ("indexed", definition.indexed, able.indexable),
        ("searchable", definition.searchable, able.searchable),
    ];
    match asked.into_iter().find(|(_, asked, able)| *asked && !able) {
        None => Ok(()),
        Some((option, ..)) => refuse(option),
    }
}

fn check_default(definition: &FieldDefinition, types: &TypeRegistry) -> Checked {
    let Some(default) = &definition.default else {
        return Ok(());
    };
    let field_type = &definition.field_type;
    if field_type.is_read_only() || field_type.is_reference() {
        return Err(DefinitionProblem::NotForType {
            option: "default",
            field_type: field_type.name(),
        });
    }
    coerce::default_cell(definition, default, types)
        .map(|_| ())
        .map_err(DefinitionProblem::Default)
}

fn beyond(what: &'static str, given: usize, max: usize) -> DefinitionProblem {
    DefinitionProblem::BeyondLimit { what, given, max }
}
