// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The handles of a model's columns: they know the model and the type, so that a comparison with a
//! value of another type, or a filter on another model, does not compile.

use std::marker::PhantomData;

use serde::Serialize;

use super::row::{json, plaintext};
use crate::error::DbError;
use crate::filter::{Filter, Test};
use crate::sort::{Direction, Sort};
use crate::value::{Assignable, ColumnType, Comparable, Textual, Value};

/// A column of the model `M` whose fields are of type `T`. `#[derive(Model)]` makes one for each field,
/// as `User::email()`.
///
/// # Examples
/// ```
/// use forktex_db::{Filter, Model};
/// use uuid::Uuid;
///
/// #[derive(Model)]
/// #[model(table = "app.user")]
/// struct User { id: Uuid, email: String, age: Option<i32> }
///
/// let adults: Filter<User> = User::age().gte(18).and(User::email().ends_with("@example.com"));
/// let ages = User::age().desc().then(User::email().asc());
/// # let _ = (adults, ages);
/// ```
#[derive(Debug)]
pub struct Column<M, T> {
    name: &'static str,
    types: PhantomData<fn() -> (M, T)>,
}

impl<M, T> Clone for Column<M, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, T> Copy for Column<M, T> {}

impl<M, T> Column<M, T> {
    /// For `#[derive(Model)]`.
    #[doc(hidden)]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            types: PhantomData,
        }
    }

    /// The column's name.
    pub fn name(self) -> &'static str {
        self.name
    }
}

impl<M, T: ColumnType> Column<M, T> {
    /// Equal.
    pub fn eq(self, value: impl Comparable<T>) -> Filter<M> {
        Filter::of(self.name, Test::Eq(value.into_value()))
    }

    /// Not equal, or no value.
    pub fn ne(self, value: impl Comparable<T>) -> Filter<M> {
        Filter::of(self.name, Test::Ne(value.into_value()))
    }

    /// Less.
    pub fn lt(self, value: impl Comparable<T>) -> Filter<M> {
        Filter::of(self.name, Test::Lt(value.into_value()))
    }

    /// Less or equal.
    pub fn lte(self, value: impl Comparable<T>) -> Filter<M> {
        Filter::of(self.name, Test::Lte(value.into_value()))
    }

    /// Greater.
    pub fn gt(self, value: impl Comparable<T>) -> Filter<M> {
        Filter::of(self.name, Test::Gt(value.into_value()))
    }

    /// Greater or equal.
    pub fn gte(self, value: impl Comparable<T>) -> Filter<M> {
        Filter::of(self.name, Test::Gte(value.into_value()))
    }

    /// Within two bounds, both included.
    pub fn between(self, low: impl Comparable<T>, high: impl Comparable<T>) -> Filter<M> {
        Filter::of(
            self.name,
            Test::Between(low.into_value(), high.into_value()),
        )
    }

    /// One of a list, of at most [`FILTER_LIST_MAX`](crate::FILTER_LIST_MAX).
    pub fn is_in<V: Comparable<T>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
        let values = values.into_iter().map(V::into_value).collect();
        Filter::of(self.name, Test::In(values))
    }

    /// None of a list, of at most [`FILTER_LIST_MAX`](crate::FILTER_LIST_MAX), or no value.
    pub fn not_in<V: Comparable<T>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
        let values = values.into_iter().map(V::into_value).collect();
        Filter::of(self.name, Test::NotIn(values))
    }

    /// Has no value.
    pub fn is_null(self) -> Filter<M> {
        Filter::of(self.name, Test::IsNull(true))
    }

    /// Has a value.
    pub fn is_not_null(self) -> Filter<M> {
        Filter::of(self.name, Test::IsNull(false))
    }

    /// From the least to the greatest; rows without a value come last.
    pub fn asc(self) -> Sort<M> {
        Sort::by(self.name, Direction::Ascending)
    }

    /// From the greatest to the least; rows without a value come first.
    pub fn desc(self) -> Sort<M> {
        Sort::by(self.name, Direction::Descending)
    }

    /// Gives the column this value, in [`Repository::set`](crate::Repository::set).
    pub fn set(self, value: impl Assignable<T>) -> Assignment<M> {
        Assignment::new(self.name, Ok(value.into_value()))
    }
}

impl<M, T: Textual> Column<M, T> {
    /// Has this part, letter by letter.
    pub fn contains(self, part: impl Into<String>) -> Filter<M> {
        Filter::of(self.name, Test::Contains(Value::Text(part.into())))
    }

    /// Has this part, whatever the case of the letters.
    pub fn icontains(self, part: impl Into<String>) -> Filter<M> {
        Filter::of(self.name, Test::Icontains(part.into()))
    }

    /// Starts with this text.
    pub fn starts_with(self, start: impl Into<String>) -> Filter<M> {
        Filter::of(self.name, Test::StartsWith(start.into()))
    }

    /// Ends with this text.
    pub fn ends_with(self, end: impl Into<String>) -> Filter<M> {
        Filter::of(self.name, Test::EndsWith(end.into()))
    }

    /// Resembles this text, by trigrams: Postgres's `%`. The database needs the extension `pg_trgm`,
    /// and a large table a trigram index.
    pub fn fuzzy(self, text: impl Into<String>) -> Filter<M> {
        Filter::of(self.name, Test::Fuzzy(text.into()))
    }
}

impl<M> Column<M, serde_json::Value> {
    /// Has this part, as Postgres's `@>` on JSON.
    pub fn contains_json(self, part: serde_json::Value) -> Filter<M> {
        Filter::of(self.name, Test::Contains(Value::Json(part)))
    }
}

/// A column whose values are stored as JSON.
#[derive(Debug)]
pub struct JsonColumn<M, T> {
    name: &'static str,
    types: PhantomData<fn() -> (M, T)>,
}

impl<M, T> JsonColumn<M, T> {
    /// For `#[derive(Model)]`.
    #[doc(hidden)]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            types: PhantomData,
        }
    }

    /// The column's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Has this part, as Postgres's `@>` on JSON.
    pub fn contains_json(&self, part: serde_json::Value) -> Filter<M> {
        Filter::of(self.name, Test::Contains(Value::Json(part)))
    }

    /// Has no value.
    pub fn is_null(&self) -> Filter<M> {
        Filter::of(self.name, Test::IsNull(true))
    }

    /// Has a value.
    pub fn is_not_null(&self) -> Filter<M> {
        Filter::of(self.name, Test::IsNull(false))
    }
}

impl<M, T: Serialize> JsonColumn<M, T> {
    /// Gives the column this value, in [`Repository::set`](crate::Repository::set).
    pub fn set(&self, value: impl Into<T>) -> Assignment<M> {
        Assignment::new(self.name, json(self.name, &value.into()))
    }
}

/// A column whose values are sealed. They cannot be compared: see `forktex-vault`'s blind index for
/// equality look-ups.
#[derive(Debug)]
pub struct SealedColumn<M, T> {
    name: &'static str,
    types: PhantomData<fn() -> (M, T)>,
}

impl<M, T> SealedColumn<M, T> {
    /// For `#[derive(Model)]`.
    #[doc(hidden)]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            types: PhantomData,
        }
    }

    /// The column's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Has no value.
    pub fn is_null(&self) -> Filter<M> {
        Filter::of(self.name, Test::IsNull(true))
    }

    /// Has a value.
    pub fn is_not_null(&self) -> Filter<M> {
        Filter::of(self.name, Test::IsNull(false))
    }
}

impl<M, T: Serialize> SealedColumn<M, T> {
    /// Seals this value into the column, in [`Repository::set`](crate::Repository::set).
    pub fn set(&self, value: impl Into<T>) -> Assignment<M> {
        Assignment::new(self.name, plaintext(self.name, &value.into()))
    }
}

/// A new value of one column, made by `User::email().set(..)` for
/// [`Repository::set`](crate::Repository::set).
#[must_use = "an assignment does nothing until a repository is given it"]
pub struct Assignment<M> {
    pub(crate) column: &'static str,
    pub(crate) value: Result<Value, DbError>,
    model: PhantomData<fn() -> M>,
}

impl<M> Assignment<M> {
    fn new(column: &'static str, value: Result<Value, DbError>) -> Self {
        Self {
            column,
            value,
            model: PhantomData,
        }
    }
}

impl<M> std::fmt::Debug for Assignment<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assignment")
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}

/// One column of a model, or several in a tuple: what
/// [`Repository::upsert_by`](crate::Repository::upsert_by) goes by.
pub trait Columns<M> {
    /// Their names.
    fn names(&self) -> Vec<&'static str>;
}

impl<M, T> Columns<M> for Column<M, T> {
    fn names(&self) -> Vec<&'static str> {
        vec![self.name]
    }
}

macro_rules! tuples {
    ($(($($type:ident $index:tt),*);)*) => {$(
        impl<M, $($type),*> Columns<M> for ($(Column<M, $type>,)*) {
            fn names(&self) -> Vec<&'static str> {
                vec![$(self.$index.name),*]
            }
        }
    )*};
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
}
