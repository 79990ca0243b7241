// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which rows: one vocabulary of conditions, from Rust and from JSON.
//!
//! Conditions have two outcomes. NULL is a value unlike any other: `ne`, `not_in` and `not` match a
//! row without a value, where SQL's own three-valued logic would drop it.

mod error;
mod evaluate;
mod field;
mod json;
mod sql;
mod walk;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use crate::value::Value;

pub use error::{FilterError, FilterProblem};
pub use field::{Field, field};
pub(crate) use sql::write_filter;

/// How deep `and`, `or` and `not` may be nested, a comparison counted as one.
pub const FILTER_DEPTH_MAX: usize = 50;

/// How many values a list may have, and how many members an `and` or an `or`.
pub const FILTER_LIST_MAX: usize = 1_000;

/// How many comparisons a filter may have in all.
pub const FILTER_COMPARISONS_MAX: usize = 1_000;

/// A condition on the rows of `M`, made by the column handles of a model, or read from JSON.
///
/// Without a type it is one on whatever has fields, to be checked against them later.
///
/// # Examples
/// ```
/// use forktex_db::{Filter, field};
///
/// let paid: Filter = field("status").eq("paid").and(field("total").gte(100));
/// let same = Filter::from_json(&serde_json::json!({
///     "and": [{"field": "status", "eq": "paid"}, {"field": "total", "gte": 100}]
/// }))?;
/// assert_eq!(paid, same);
/// # Ok::<(), forktex_db::FilterError>(())
/// ```
#[must_use = "a filter does nothing until a repository is asked with it"]
pub struct Filter<M = AnyModel> {
    pub(crate) node: Node,
    model: PhantomData<fn() -> M>,
}

/// Stands for a model that is not known when a [`Filter`] or a [`Sort`](crate::Sort) is made.
#[derive(Clone, Copy, Debug)]
pub enum AnyModel {}

/// A filter's tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// All tests of one field hold.
    Field {
        name: Cow<'static, str>,
        tests: Vec<Test>,
    },
}

impl Node {
    /// The word for it in JSON.
    fn word(&self) -> &'static str {
        match self {
            Self::And(_) => "and",
            Self::Or(_) => "or",
            Self::Not(_) => "not",
            Self::Field { .. } => "field",
        }
    }
}

/// One test of one field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Eq(Value),
    Ne(Value),
    Lt(Value),
    Lte(Value),
    Gt(Value),
    Gte(Value),
    Between(Value, Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    /// A part of a text, or of a JSON document.
    Contains(Value),
    Icontains(String),
    StartsWith(String),
    EndsWith(String),
    Fuzzy(String),
    IsNull(bool),
}

impl Test {
    /// The word for it in JSON.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Eq(_) => "eq",
            Self::Ne(_) => "ne",
            Self::Lt(_) => "lt",
            Self::Lte(_) => "lte",
            Self::Gt(_) => "gt",
            Self::Gte(_) => "gte",
            Self::Between(..) => "between",
            Self::In(_) => "in",
            Self::NotIn(_) => "not_in",
            Self::Contains(_) => "contains",
            Self::Icontains(_) => "icontains",
            Self::StartsWith(_) => "starts_with",
            Self::EndsWith(_) => "ends_with",
            Self::Fuzzy(_) => "fuzzy",
            Self::IsNull(_) => "is_null",
        }
    }
}

impl<M> Filter<M> {
    pub(crate) fn from_node(node: Node) -> Self {
        Self {
            node,
            model: PhantomData,
        }
    }

    pub(crate) fn of(name: impl Into<Cow<'static, str>>, test: Test) -> Self {
        Self::from_node(Node::Field {
            name: name.into(),
            tests: vec![test],
        })
    }

    /// Matches every row.
    pub fn all() -> Self {
        Self::from_node(Node::And(Vec::new()))
    }

    /// Matches no row.
    pub fn none() -> Self {
        Self::from_node(Node::Or(Vec::new()))
    }

    /// Matches what both match.
    pub fn and(self, other: Self) -> Self {
        Self::from_node(match (self.node, other.node) {
            // A long chain stays flat, so that it does not count as deep.
            (Node::And(mut members), Node::And(others)) => {
                members.extend(others);
                Node::And(members)
            }
            (Node::And(mut members), other) => {
                members.push(other);
                Node::And(members)
            }
            (one, other) => Node::And(vec![one, other]),
        })
    }

    /// Matches what either matches.
    pub fn or(self, other: Self) -> Self {
        Self::from_node(match (self.node, other.node) {
            (Node::Or(mut members), Node::Or(others)) => {
                members.extend(others);
                Node::Or(members)
            }
            (Node::Or(mut members), other) => {
                members.push(other);
                Node::Or(members)
            }
            (one, other) => Node::Or(vec![one, other]),
        })
    }

    /// Matches what this does not; a row without a value in the field is one of those, unless this
    /// matches it.
    #[allow(clippy::should_implement_trait, reason = "the word of the vocabulary")]
    pub fn not(self) -> Self {
        Self::from_node(Node::Not(Box::new(self.node)))
    }

    /// Matches what all of these match; with none of them, every row.
    pub fn all_of(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::from_node(Node::And(filters.into_iter().map(|f| f.node).collect()))
    }

    /// Matches what any of these matches; with none of them, no row.
    pub fn any_of(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::from_node(Node::Or(filters.into_iter().map(|f| f.node).collect()))
    }

    /// Refuses a filter that names a field other than these. For filters that come from outside: a
    /// caller who may filter by a column can find out what is in it, value by value.
    ///
    /// # Errors
    /// [`FilterProblem::NotAllowed`], with the path of the first field that is not among them.
    ///
    /// # Examples
    /// ```
    /// use forktex_db::{Filter, FilterProblem};
    ///
    /// let json = serde_json::json!({"field": "password_hash", "starts_with": "a"});
    /// let refused = Filter::<()>::from_json(&json)?.only(&["email", "name"]).unwrap_err();
    /// assert_eq!(refused.path(), "/field");
    /// # Ok::<(), forktex_db::FilterError>(())
    /// ```
    pub fn only(self, fields: &[&str]) -> Result<Self, FilterError> {
        walk::check_names(&self.node, fields)?;
        Ok(self)
    }
}

impl<M> Clone for Filter<M> {
    fn clone(&self) -> Self {
        Self::from_node(self.node.clone())
    }
}

impl<M> PartialEq for Filter<M> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

impl<M> Default for Filter<M> {
    fn default() -> Self {
        Self::all()
    }
}

/// Shows fields and operators, never the values.
impl<M> fmt::Debug for Filter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}
