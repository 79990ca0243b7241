// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fields by name, where there is no model with handles for its columns.

use std::borrow::Cow;

use super::{Filter, Test};
use crate::value::Value;

/// Names a field, to compare it where no model says which there are. See [`Field`].
pub fn field(name: impl Into<Cow<'static, str>>) -> Field {
    Field { name: name.into() }
}

/// A field by name, made by [`field`]. Where there is a model, use its column handles instead: they
/// check the name and the type at compile time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: Cow<'static, str>,
}

impl Field {
    /// Equal; with [`Value::Null`], no value.
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Eq(value.into()))
    }

    /// Not equal, or no value.
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Ne(value.into()))
    }

    /// Less.
    pub fn lt(self, value: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Lt(value.into()))
    }

    /// Less or equal.
    pub fn lte(self, value: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Lte(value.into()))
    }

    /// Greater.
    pub fn gt(self, value: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Gt(value.into()))
    }

    /// Greater or equal.
    pub fn gte(self, value: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Gte(value.into()))
    }

    /// Within two bounds, both included.
    pub fn between(self, low: impl Into<Value>, high: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Between(low.into(), high.into()))
    }

    /// One of a list.
    pub fn is_in<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        let values = values.into_iter().map(V::into).collect();
        Filter::of(self.name, Test::In(values))
    }

    /// None of a list, or no value.
    pub fn not_in<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Filter {
        let values = values.into_iter().map(V::into).collect();
        Filter::of(self.name, Test::NotIn(values))
    }

    /// Has this part: of a text, letter by letter; of a JSON document, as Postgres's `@>`.
    pub fn contains(self, part: impl Into<Value>) -> Filter {
        Filter::of(self.name, Test::Contains(part.into()))
    }

    /// Has this part, whatever the case of the letters.
    pub fn icontains(self, part: impl Into<String>) -> Filter {
        Filter::of(self.name, Test::Icontains(part.into()))
    }

    /// Starts with this text.
    pub fn starts_with(self, start: impl Into<String>) -> Filter {
        Filter::of(self.name, Test::StartsWith(start.into()))
    }

    /// Ends with this text.
    pub fn ends_with(self, end: impl Into<String>) -> Filter {
        Filter::of(self.name, Test::EndsWith(end.into()))
    }

    /// Resembles this text, by trigrams: Postgres's `%`, from the extension `pg_trgm`.
    pub fn fuzzy(self, text: impl Into<String>) -> Filter {
        Filter::of(self.name, Test::Fuzzy(text.into()))
    }

    /// Has no value.
    pub fn is_null(self) -> Filter {
        Filter::of(self.name, Test::IsNull(true))
    }

    /// Has a value.
    pub fn is_not_null(self) -> Filter {
        Filter::of(self.name, Test::IsNull(false))
    }
}
