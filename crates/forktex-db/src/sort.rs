// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! In which order: columns, each with a direction, and where rows without a value go.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::error::DbError;
use crate::filter::AnyModel;
use crate::identifier::Quoted;
use crate::model::{ColumnInfo, ColumnRole, ModelInfo};
use crate::statement::Statement;
use crate::value::ValueKind;

/// How many columns a sort may name.
pub const SORT_COLUMNS_MAX: usize = 8;

/// An order of the rows of `M`, made by the column handles of a model: `User::age().desc()`, or read
/// from a text such as `-age,email`.
///
/// Rows that are equal by it are ordered by their ids, so that an order is always total. An index on
/// the same columns in the same directions, with the id last, serves it.
#[must_use = "a sort does nothing until a repository is asked with it"]
pub struct Sort<M = AnyModel> {
    keys: Vec<Key>,
    model: PhantomData<fn() -> M>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    column: Cow<'static, str>,
    direction: Direction,
    nulls: Option<Nulls>,
}

/// From the least to the greatest, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the least to the greatest.
    Ascending,
    /// From the greatest to the least.
    Descending,
}

/// Where rows without a value go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Nulls {
    First,
    Last,
}

impl<M> Sort<M> {
    pub(crate) fn by(column: impl Into<Cow<'static, str>>, direction: Direction) -> Self {
        Self {
            keys: vec![Key {
                column: column.into(),
                direction,
                nulls: None,
            }],
            model: PhantomData,
        }
    }

    /// By the id alone: with `UUIDv7`, in the order in which the rows were made.
    pub fn unsorted() -> Self {
        Self {
            keys: Vec::new(),
            model: PhantomData,
        }
    }

    /// Orders by `next` those rows that are equal by this.
    pub fn then(mut self, next: Self) -> Self {
        self.keys.extend(next.keys);
        self
    }

    /// Puts rows without a value in the last column before all others.
    pub fn nulls_first(self) -> Self {
        self.nulls(Nulls::First)
    }

    /// Puts rows without a value in the last column after all others.
    pub fn nulls_last(self) -> Self {
        self.nulls(Nulls::Last)
    }

    fn nulls(mut self, nulls: Nulls) -> Self {
        if let Some(key) = self.keys.last_mut() {
            key.nulls = Some(nulls);
        }
        self
    }

    /// Reads an order from a text, as an API takes it: names of columns, separated by commas, each
    /// with a `-` before it where the greatest comes first. Which columns there are is checked when
    /// the order is used; give `allowed` what a caller may sort by.
    ///
    /// # Errors
    /// [`DbError::Invalid`] names a column that is not allowed.
    ///
    /// # Examples
    /// ```
    /// use forktex_db::Sort;
    ///
    /// let sort: Sort = Sort::parse("-issued_at,number", &["issued_at", "number"])?;
    /// assert_eq!(sort.to_string(), "-issued_at,number");
    /// # Ok::<(), forktex_db::DbError>(())
    /// ```
    pub fn parse(text: &str, allowed: &[&str]) -> Result<Self, DbError> {
        let mut sort = Self::unsorted();
        let names = text.split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            let (name, direction) = match name.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (name, Direction::Ascending),
            };
            if !allowed.contains(&name) {
                let name: String = name.chars().take(60).collect();
                return Err(DbError::invalid(format!(
                    "cannot sort by `{}`; the columns to sort by are {}",
                    name.escape_debug(),
                    allowed.join(", ")
                )));
            }
            sort = sort.then(Self::by(name.to_owned(), direction));
        }
        Ok(sort)
    }
}

impl<M> Clone for Sort<M> {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            model: PhantomData,
        }
    }
}

impl<M> Default for Sort<M> {
    fn default() -> Self {
        Self::unsorted()
    }
}

impl<M> PartialEq for Sort<M> {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys
    }
}

impl<M> fmt::Debug for Sort<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sort({self})")
    }
}

/// The form that [`Sort::parse`] reads, with where the rows without a value go where that was said.
impl<M> fmt::Display for Sort<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, key) in self.keys.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let sign = match key.direction {
                Direction::Ascending => "",
                Direction::Descending => "-",
            };
            let nulls = match key.nulls {
                None => "",
                Some(Nulls::First) => " nulls first",
                Some(Nulls::Last) => " nulls last",
            };
            write!(f, "{comma}{sign}{}{nulls}", key.column)?;
        }
        Ok(())
    }
}

/// A column to order by, checked against a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SortColumn {
    pub(crate) column: &'static ColumnInfo,
    pub(crate) direction: Direction,
    pub(crate) nulls: Nulls,
}

/// A total order: columns of the model, the id among them.
#[derive(Clone, Debug)]
pub(crate) struct TotalOrder(pub(crate) Vec<SortColumn>);

impl TotalOrder {
    /// Checks an order against the model, and makes it total by the id.
    pub(crate) fn new<M>(sort: &Sort<M>, model: &ModelInfo) -> Result<Self, DbError> {
        if sort.keys.len() > SORT_COLUMNS_MAX {
            return Err(DbError::invalid(format!(
                "a sort names at most {SORT_COLUMNS_MAX} columns"
            )));
        }
        let mut columns: Vec<SortColumn> = Vec::with_capacity(sort.keys.len() + 1);
        for key in &sort.keys {
            let column = sortable(&key.column, model)?;
            let named_before = columns.iter().any(|one| one.column.name == column.name);
            if !named_before {
                columns.push(SortColumn::new(column, key.direction, key.nulls));
            }
            if column.role == ColumnRole::Id {
                // What comes after it can decide nothing.
                return Ok(Self(columns));
            }
        }
        if let Some(id) = model.column_of(ColumnRole::Id) {
            // In the direction of the last column, so that one index serves both ways.
            let direction = columns
                .last()
                .map_or(Direction::Ascending, |last| last.direction);
            columns.push(SortColumn::new(id, direction, None));
        }
        Ok(Self(columns))
    }

    /// Writes the list of `ORDER BY`.
    pub(crate) fn write(&self, statement: &mut Statement) {
        for (n, key) in self.0.iter().enumerate() {
            statement.push(if n == 0 { "" } else { ", " });
            statement.put(Quoted(key.column.name));
            statement.push(match key.direction {
                Direction::Ascending => "",
                Direction::Descending => " DESC",
            });
            if key.column.is_nullable {
                statement.push(match key.nulls {
                    Nulls::First => " NULLS FIRST",
                    Nulls::Last => " NULLS LAST",
                });
            }
        }
    }
}

impl SortColumn {
    fn new(column: &'static ColumnInfo, direction: Direction, nulls: Option<Nulls>) -> Self {
        // Postgres takes NULL for greater than any value, and so do its indexes.
        let nulls = nulls.unwrap_or(match direction {
            Direction::Ascending => Nulls::Last,
            Direction::Descending => Nulls::First,
        });
        Self {
            column,
            direction,
            nulls,
        }
    }
}

fn sortable(name: &str, model: &ModelInfo) -> Result<&'static ColumnInfo, DbError> {
    let column = model.column(name).ok_or_else(|| {
        DbError::invalid(format!(
            "cannot sort {} by `{name}`: there is no such column",
            model.name
        ))
    })?;
    if column.is_sealed || matches!(column.kind, ValueKind::Json | ValueKind::Bytes) {
        return Err(DbError::invalid(format!(
            "cannot sort {} by `{name}`, which holds {}",
            model.name,
            if column.is_sealed {
                "sealed values".to_owned()
            } else {
                column.kind.to_string()
            }
        )));
    }
    Ok(column)
}
