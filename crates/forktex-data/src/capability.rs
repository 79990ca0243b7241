// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a field can do in a query: operators, sorting, search, index, facets, aggregates.
//!
//! It is said in one place, so that a query, the schema of a register and a table view in a browser agree.
//! Whether a field *has* an index is not asked here.

use serde::{Deserialize, Serialize};

use crate::field_type::FieldType;
use crate::operator::Operator;
use crate::register::Field;
use crate::value::ValueKind;

/// What the values of many rows can be made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AggregateFunction {
    /// How many rows have a value.
    Count,
    /// The sum of numbers.
    Sum,
    /// The average of numbers, as a decimal.
    Average,
    /// The smallest value.
    Min,
    /// The greatest value.
    Max,
}

impl AggregateFunction {
    /// The word for it: `count`, `sum`, ..
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Average => "average",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// What a field can do in a query.
///
/// # Examples
/// ```
/// use forktex_data::{Capabilities, Operator, ValueKind};
///
/// let text = Capabilities::of_kind(ValueKind::Text);
/// assert!(text.allows(Operator::StartsWith) && text.searchable);
/// assert!(!Capabilities::of_kind(ValueKind::Boolean).allows(Operator::Lt));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, and all are asked one by one"
)]
#[non_exhaustive]
pub struct Capabilities {
    /// The operators of a filter.
    pub operators: &'static [Operator],
    /// Whether rows can be sorted by it.
    pub sortable: bool,
    /// Whether its words can be searched for.
    pub searchable: bool,
    /// Whether it can be indexed.
    pub indexable: bool,
    /// Whether it can be unique.
    pub unique: bool,
    /// Whether its values can be counted as a facet, or grouped by.
    pub facetable: bool,
    /// What its values can be made into.
    pub aggregates: &'static [AggregateFunction],
}

const EMPTINESS: &[Operator] = &[Operator::IsEmpty, Operator::IsNull, Operator::IsAbsent];

/// What points to rows has a value or has none; there is no third state.
const REFERENCE: &[Operator] = &[Operator::Eq, Operator::In, Operator::IsEmpty];

const SAMENESS: &[Operator] = &[
    Operator::Eq,
    Operator::Ne,
    Operator::In,
    Operator::NotIn,
    Operator::IsEmpty,
    Operator::IsNull,
    Operator::IsAbsent,
];

const ORDER: &[Operator] = &[
    Operator::Eq,
    Operator::Ne,
    Operator::Lt,
    Operator::Lte,
    Operator::Gt,
    Operator::Gte,
    Operator::Between,
    Operator::In,
    Operator::NotIn,
    Operator::IsEmpty,
    Operator::IsNull,
    Operator::IsAbsent,
];

const ALL: &[Operator] = &Operator::ALL;

const COUNT: &[AggregateFunction] = &[AggregateFunction::Count];

const BOUNDS: &[AggregateFunction] = &[
    AggregateFunction::Count,
    AggregateFunction::Min,
    AggregateFunction::Max,
];

const ARITHMETIC: &[AggregateFunction] = &[
    AggregateFunction::Count,
    AggregateFunction::Sum,
    AggregateFunction::Average,
    AggregateFunction::Min,
    AggregateFunction::Max,
];

impl Capabilities {
    /// What fields of this kind can do, whatever type they have.
    pub fn of_kind(kind: ValueKind) -> Self {
        let (operators, aggregates) = match kind {
            ValueKind::Text => (ALL, BOUNDS),
            ValueKind::Integer | ValueKind::Decimal => (ORDER, ARITHMETIC),
            ValueKind::Date | ValueKind::Datetime => (ORDER, BOUNDS),
            ValueKind::Boolean | ValueKind::Uuid => (SAMENESS, COUNT),
            ValueKind::Json => (EMPTINESS, COUNT),
        };
        let has_order = kind != ValueKind::Json;
        Self {
            operators,
            sortable: has_order,
            searchable: kind == ValueKind::Text,
            indexable: has_order,
            unique: has_order && kind != ValueKind::Boolean,
            facetable: has_order,
            aggregates,
        }
    }

    /// What a reference can do. It has no index of its own, as links always have one.
    fn of_reference() -> Self {
        Self {
            operators: REFERENCE,
            sortable: false,
            searchable: false,
            indexable: false,
            unique: false,
            facetable: false,
            aggregates: &[],
        }
    }

    /// What an enum can do: its keys are texts, but nobody looks for a part of one.
    fn of_enum() -> Self {
        Self {
            operators: ORDER,
            ..Self::of_kind(ValueKind::Text)
        }
    }

    /// Whether a filter may use this operator.
    pub fn allows(&self, operator: Operator) -> bool {
        self.operators.contains(&operator)
    }

    /// Whether the values can be made into this.
    pub fn aggregates_by(&self, function: AggregateFunction) -> bool {
        self.aggregates.contains(&function)
    }
}

impl FieldType {
    /// What a field of this type can do. Of a look-up, a formula, some rollups and a custom type, the
    /// type alone does not say what their values are; for these, [`Field::capabilities`] knows more.
    pub fn capabilities(&self) -> Capabilities {
        // Without a registry custom types have no kind, and then only what every kind can do is said.
        let kind = self.kind(&crate::custom_type::TypeRegistry::default());
        self.capabilities_as(kind.unwrap_or(ValueKind::Json))
    }

    /// What a field of this type can do, when its values are of this kind.
    pub(crate) fn capabilities_as(&self, kind: ValueKind) -> Capabilities {
        match self {
            Self::Reference { .. } => Capabilities::of_reference(),
            Self::Enum(_) => Capabilities::of_enum(),
            other => {
                let mut capabilities = Capabilities::of_kind(kind);
                // Two rows may well compute the same, and a number is never given twice.
                capabilities.unique &= !other.is_read_only();
                capabilities
            }
        }
    }
}

impl Field {
    /// What the field can do in a query.
    pub fn capabilities(&self) -> Capabilities {
        self.definition.field_type.capabilities_as(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldDefinition;

    fn of(field: &FieldDefinition) -> Capabilities {
        field.field_type.capabilities()
    }

    #[test]
    fn every_kind_can_be_asked_for_emptiness() {
        for field in [
            FieldDefinition::text("a"),
            FieldDefinition::integer("a"),
            FieldDefinition::json("a"),
            FieldDefinition::boolean("a"),
            FieldDefinition::formula("a", "1"),
            FieldDefinition::reference("a"),
        ] {
            assert!(
                of(&field).allows(Operator::IsEmpty),
                "{}",
                field.field_type.name()
            );
        }
    }

    #[test]
    fn texts_are_searched_and_numbers_added_up() {
        let text = of(&FieldDefinition::text("a"));
        assert!(text.searchable && text.allows(Operator::Icontains) && text.unique);
        assert!(!text.aggregates_by(AggregateFunction::Sum));
        let number = of(&FieldDefinition::decimal("a"));
        assert!(!number.searchable && number.allows(Operator::Between));
        assert!(!number.allows(Operator::Contains));
        assert!(number.aggregates_by(AggregateFunction::Average));
    }

    #[test]
    fn documents_and_references_have_no_order() {
        let json = of(&FieldDefinition::json("a"));
        assert!(!json.sortable && !json.indexable && !json.unique && !json.facetable);
        assert!(!json.allows(Operator::Eq));
        let reference = of(&FieldDefinition::reference("a"));
        assert!(!reference.sortable && !reference.indexable);
        assert!(reference.allows(Operator::In) && !reference.allows(Operator::Lt));
        assert!(!reference.allows(Operator::IsNull));
    }

    #[test]
    fn what_is_computed_is_never_unique() {
        let count = of(&FieldDefinition::rollup(
            "a",
            "b",
            crate::field_type::Rollup::Count,
        ));
        assert!(count.indexable && count.sortable && !count.unique);
        assert!(!of(&FieldDefinition::number("a")).unique);
        assert!(!of(&FieldDefinition::one_of("a", ["x"])).allows(Operator::Contains));
    }

    #[test]
    fn the_words_are_those_of_json() {
        for function in ARITHMETIC {
            assert_eq!(
                serde_json::to_value(function).unwrap(),
                serde_json::json!(function.as_str())
            );
        }
    }
}
