// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Builders of definitions.
//!
//! They never fail. What a type cannot do is noted, and refused when the definition is checked, so that a
//! definition reads as one sentence.

use std::ops::RangeInclusive;

use serde_json::Value as Json;

use super::{DefinitionProblem, FieldDefinition};
use crate::field_type::{
    DateRules, DatetimeRules, DecimalRules, EnumOption, EnumOptions, FieldType, IntegerRules,
    Pattern, Rollup, TextRules,
};
use crate::value::Value;

/// One constructor for each type.
///
/// # Examples
/// ```
/// use forktex_data::{FieldDefinition, Rollup};
///
/// let fields = [
///     FieldDefinition::number("number"),
///     FieldDefinition::one_of("status", ["draft", "paid"]).default_value("draft").indexed(),
///     FieldDefinition::decimal("net").scale(2).required(),
///     FieldDefinition::formula("gross", "net * 1.2"),
///     FieldDefinition::reference("client"),
///     FieldDefinition::lookup("client_name", "client", "name"),
///     FieldDefinition::rollup("line_count", "lines", Rollup::Count),
/// ];
/// assert_eq!(fields[4].field_type.name(), "reference");
/// ```
impl FieldDefinition {
    /// A text, of at most 10,000 characters unless [`length`](Self::length) says otherwise.
    pub fn text(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Text(TextRules::default()))
    }

    /// A whole number of 64 bits.
    pub fn integer(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Integer(IntegerRules::default()))
    }

    /// A whole number that we give: 1, 2, 3, .. without a gap.
    pub fn number(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Number)
    }

    /// An exact decimal number of at most 28 digits.
    pub fn decimal(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Decimal(DecimalRules::default()))
    }

    /// True or false.
    pub fn boolean(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Boolean)
    }

    /// A day.
    pub fn date(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Date(DateRules::default()))
    }

    /// An instant.
    pub fn datetime(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Datetime(DatetimeRules::default()))
    }

    /// A UUID.
    pub fn uuid(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Uuid)
    }

    /// One of these options.
    pub fn one_of(
        name: impl Into<String>,
        options: impl IntoIterator<Item = impl Into<EnumOption>>,
    ) -> Self {
        Self::new(name, FieldType::Enum(EnumOptions::new(options)))
    }

    /// A JSON document of at most 256 KiB.
    pub fn json(name: impl Into<String>) -> Self {
        Self::new(name, FieldType::Json { bytes_max: None })
    }

    /// Rows of another register, by the relationship of the same name.
    pub fn reference(name: impl Into<String>) -> Self {
        let name = name.into();
        let relationship = name.clone();
        Self::new(name, FieldType::Reference { relationship })
    }

    /// What `field` of the row has that the reference `through` points to.
    pub fn lookup(
        name: impl Into<String>,
        through: impl Into<String>,
        field: impl Into<String>,
    ) -> Self {
        Self::new(
            name,
            FieldType::Lookup {
                through: through.into(),
                field: field.into(),
            },
        )
    }

    /// What is made of the rows on the other side of the relationship `through`.
    pub fn rollup(name: impl Into<String>, through: impl Into<String>, aggregate: Rollup) -> Self {
        Self::new(
            name,
            FieldType::Rollup {
                through: through.into(),
                aggregate,
            },
        )
    }

    /// What an expression over fields of the same row gives: `net * 1.2`.
    pub fn formula(name: impl Into<String>, expression: impl Into<String>) -> Self {
        Self::new(
            name,
            FieldType::Formula {
                expression: expression.into(),
            },
        )
    }

    /// A value of a type that the service brings along.
    pub fn custom(name: impl Into<String>, custom_type: impl Into<String>) -> Self {
        Self::new(
            name,
            FieldType::Custom {
                custom_type: custom_type.into(),
                options: Json::Null,
            },
        )
    }

    fn new(name: impl Into<String>, field_type: FieldType) -> Self {
        Self {
            name: name.into(),
            label: None,
            description: None,
            field_type,
            required: false,
            unique: false,
            indexed: false,
            searchable: false,
            default: None,
            misuse: None,
        }
    }

    /// Each row must have a value.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// No two rows may have the same value.
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Filters and sorts by the field go by an index.
    pub fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }

    /// The words of the field can be searched for.
    pub fn searchable(mut self) -> Self {
        self.searchable = true;
        self
    }

    /// What a new row has where it is not given a value. JSON `null` is no default.
    pub fn default_value(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into().to_json()).filter(|json| !json.is_null());
        self
    }

    /// What people see instead of the name.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What the field is for.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// How many characters a text may have.
    pub fn length(mut self, characters: RangeInclusive<usize>) -> Self {
        match &mut self.field_type {
            FieldType::Text(rules) => {
                let (min, max) = characters.into_inner();
                rules.length_min = (min > 0).then_some(min);
                rules.length_max = Some(max);
            }
            _ => self.note_misuse("length"),
        }
        self
    }

    /// What some part of a text must match: a regular expression, matched in linear time. `^` and `$`
    /// bind it to the whole text.
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        match &mut self.field_type {
            FieldType::Text(rules) => rules.pattern = Some(Pattern::new(pattern)),
            _ => self.note_misuse("pattern"),
        }
        self
    }

    /// The smallest and the greatest value of a number, a date or an instant, both allowed.
    pub fn range(mut self, minimum: impl Into<Value>, maximum: impl Into<Value>) -> Self {
        let (minimum, maximum) = (minimum.into(), maximum.into());
        match (&mut self.field_type, minimum, maximum) {
            (FieldType::Integer(rules), Value::Integer(minimum), Value::Integer(maximum)) => {
                (rules.minimum, rules.maximum) = (Some(minimum), Some(maximum));
            }
            (FieldType::Date(rules), Value::Date(minimum), Value::Date(maximum)) => {
                (rules.minimum, rules.maximum) = (Some(minimum), Some(maximum));
            }
            (FieldType::Datetime(rules), Value::Instant(minimum), Value::Instant(maximum)) => {
                (rules.minimum, rules.maximum) = (Some(minimum), Some(maximum));
            }
            (FieldType::Decimal(rules), minimum, maximum) => {
                (rules.minimum, rules.maximum) = (minimum.as_decimal(), maximum.as_decimal());
                if rules.minimum.is_none() || rules.maximum.is_none() {
                    self.note_misuse("range");
                }
            }
            _ => self.note_misuse("range"),
        }
        self
    }

    /// How many digits of a decimal stand after the point, at most 27.
    pub fn scale(mut self, digits: u32) -> Self {
        match &mut self.field_type {
            FieldType::Decimal(rules) => rules.scale = Some(digits),
            _ => self.note_misuse("scale"),
        }
        self
    }

    /// The most bytes of a JSON document.
    pub fn bytes_max(mut self, bytes: usize) -> Self {
        match &mut self.field_type {
            FieldType::Json { bytes_max } => *bytes_max = Some(bytes),
            _ => self.note_misuse("bytes_max"),
        }
        self
    }

    /// The options of an enum, in place of those that it has.
    pub fn options(mut self, options: impl IntoIterator<Item = impl Into<EnumOption>>) -> Self {
        match &mut self.field_type {
            FieldType::Enum(known) => *known = EnumOptions::new(options),
            _ => self.note_misuse("options"),
        }
        self
    }

    /// What a custom type is told.
    pub fn custom_options(mut self, told: Json) -> Self {
        match &mut self.field_type {
            FieldType::Custom { options, .. } => *options = told,
            _ => self.note_misuse("custom_options"),
        }
        self
    }

    /// The relationship of a reference, where it is not called as the field.
    pub fn by_relationship(mut self, name: impl Into<String>) -> Self {
        match &mut self.field_type {
            FieldType::Reference { relationship } => *relationship = name.into(),
            _ => self.note_misuse("by_relationship"),
        }
        self
    }

    /// The first misuse is kept.
    fn note_misuse(&mut self, option: &'static str) {
        let field_type = self.field_type.name();
        self.misuse
            .get_or_insert(DefinitionProblem::NotForType { option, field_type });
    }
}
