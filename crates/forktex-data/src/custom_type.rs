// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Types that a service brings along, and the registry that knows them.
//!
//! A custom type is stored as one of the kinds that there are, and so can be compared, sorted and
//! indexed as they are. It cannot add a way of storing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::value::{Value, ValueKind};

/// A type of field that this crate does not have: an IBAN, a colour, a phone number.
///
/// # Examples
/// ```
/// use forktex_data::{CustomType, Value, ValueKind};
/// use serde_json::{Value as Json, json};
///
/// /// A colour as `#rrggbb`.
/// struct Colour;
///
/// impl CustomType for Colour {
///     fn name(&self) -> &str {
///         "colour"
///     }
///
///     fn kind(&self) -> ValueKind {
///         ValueKind::Text
///     }
///
///     fn coerce(&self, value: Value, _options: &Json) -> Result<Value, String> {
///         let text = value.as_str().unwrap_or_default().to_ascii_lowercase();
///         let digits = text.strip_prefix('#').unwrap_or_default();
///         if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
///             Ok(Value::from(text))
///         } else {
///             Err("a colour is written as #rrggbb".to_owned())
///         }
///     }
///
///     fn json_schema(&self, _options: &Json) -> Json {
///         json!({"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$"})
///     }
/// }
///
/// let types = forktex_data::TypeRegistry::new().with(Colour);
/// assert!(types.names().any(|name| name == "colour"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a custom type of field",
    label = "does not implement `CustomType`",
    note = "implement `name`, `kind`, `coerce` and `json_schema` for it"
)]
pub trait CustomType: Send + Sync + 'static {
    /// The name, by which fields ask for the type. It never changes: definitions hold it.
    fn name(&self) -> &str;

    /// How its values are stored.
    fn kind(&self) -> ValueKind;

    /// Checks a value and gives it the form in which it is stored, of the kind that
    /// [`kind`](Self::kind) says. What comes in is of that kind where the input can be read as such,
    /// and otherwise a text, a number, a boolean or a JSON document, as it was written.
    ///
    /// The same value must always give the same form, and a form must give itself.
    ///
    /// # Errors
    /// Why the value does not fit, for people. It goes to whoever sent the value; leave the value out.
    fn coerce(&self, value: Value, options: &Json) -> Result<Value, String>;

    /// The JSON Schema of its values.
    fn json_schema(&self, options: &Json) -> Json;
}

/// The custom types that a service knows. Cheap to clone.
#[derive(Clone, Default)]
pub struct TypeRegistry {
    types: Arc<BTreeMap<String, Arc<dyn CustomType>>>,
}

impl TypeRegistry {
    /// A registry without custom types.
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry with this type, in place of one of the same name.
    pub fn with(mut self, custom: impl CustomType) -> Self {
        let name = custom.name().to_owned();
        Arc::make_mut(&mut self.types).insert(name, Arc::new(custom));
        self
    }

    /// The names of the types, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The type of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<dyn CustomType>> {
        self.types.get(name)
    }
}

impl fmt::Debug for TypeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.types.keys()).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A code in capitals. Its option `length` says of how many letters; `fails` makes it break its
    /// promise on the kind.
    pub(crate) struct Code;

    impl CustomType for Code {
        fn name(&self) -> &'static str {
            "code"
        }

        fn kind(&self) -> ValueKind {
            ValueKind::Text
        }

        fn coerce(&self, value: Value, options: &Json) -> Result<Value, String> {
            if options["fails"] == json!(true) {
                return Ok(Value::from(1));
            }
            let text = value.as_str().ok_or("a code is a text")?;
            match options["length"].as_u64() {
                Some(length) if text.len() as u64 != length => {
                    Err(format!("a code has {length} letters"))
                }
                _ => Ok(Value::from(text.to_uppercase())),
            }
        }

        fn json_schema(&self, _options: &Json) -> Json {
            json!({"type": "string"})
        }
    }

    /// A day that is given as text or by its number since 1970.
    pub(crate) struct Day;

    impl CustomType for Day {
        fn name(&self) -> &'static str {
            "day"
        }

        fn kind(&self) -> ValueKind {
            ValueKind::Date
        }

        fn coerce(&self, value: Value, _options: &Json) -> Result<Value, String> {
            match value {
                Value::Date(date) => Ok(Value::Date(date)),
                Value::Integer(days) => time::OffsetDateTime::UNIX_EPOCH
                    .checked_add(time::Duration::days(days.clamp(0, 100_000)))
                    .map(|instant| Value::Date(instant.date()))
                    .ok_or_else(|| "too far".to_owned()),
                _ => Err("a day is a date or a number".to_owned()),
            }
        }

        fn json_schema(&self, _options: &Json) -> Json {
            json!({"type": ["string", "integer"]})
        }
    }

    #[test]
    fn a_registry_finds_types_by_name_and_copies_do_not_change_each_other() {
        let types = TypeRegistry::new().with(Code);
        let more = types.clone().with(Day);
        assert_eq!(types.names().collect::<Vec<_>>(), ["code"]);
        assert_eq!(more.names().collect::<Vec<_>>(), ["code", "day"]);
        assert_eq!(more.get("day").map(|day| day.kind()), Some(ValueKind::Date));
        assert!(types.get("day").is_none());
        assert_eq!(format!("{more:?}"), r#"{"code", "day"}"#);
    }
}
