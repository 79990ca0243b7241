// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How a field takes a new value: the closed set of operations, and what each does to a typed field.
//!
//! The same operations exist once more on JSON in [`delta`](super::delta); a property test holds the
//! two together. Nothing here calls user code: a `with` reducer is resolved before it gets here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};

use serde::{Deserialize, Serialize};

use super::StateError;

/// The operation that a field's reducer performs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reducer {
    /// The new value replaces the old one. The default.
    Set,
    /// The new items follow the old ones.
    Append,
    /// The new number is added to the old one.
    Add,
    /// The larger number stays.
    Max,
    /// The smaller number stays.
    Min,
    /// The items that are not yet there are added.
    Union,
    /// The new entries are put into the old map; an equal key takes the new value.
    Merge,
    /// A function of the service decides. Journalled as `set`, so that it runs once.
    With,
}

impl Reducer {
    /// The word that the attribute and the journal use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Append => "append",
            Self::Add => "add",
            Self::Max => "max",
            Self::Min => "min",
            Self::Union => "union",
            Self::Merge => "merge",
            Self::With => "with",
        }
    }
}

/// A collection that `append` accepts: `Vec`, `VecDeque`. Not a set, which drops items that a list
/// in JSON would keep.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be reduced by append",
    label = "needs a Vec or VecDeque"
)]
pub trait Append {
    /// Puts the items of `new` after the existing ones.
    fn append_all(&mut self, new: Self);
}

impl<T> Append for Vec<T> {
    fn append_all(&mut self, new: Self) {
        self.extend(new);
    }
}

impl<T> Append for VecDeque<T> {
    fn append_all(&mut self, new: Self) {
        self.extend(new);
    }
}

/// Puts `new` items after the existing ones.
pub fn append<C: Append>(existing: &mut C, new: C) {
    existing.append_all(new);
}

/// A number that `add`, `max` and `min` accept: the integers up to 64 bits, and `f64`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be reduced by add, max or min",
    label = "needs an integer of at most 64 bits, or f64 (max and min also take an Option of one)"
)]
pub trait Number: Copy + PartialOrd {
    /// The sum, or `None` where the type cannot hold it.
    fn sum(self, other: Self) -> Option<Self>;
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Number for $integer {
            fn sum(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

impl Number for f64 {
    fn sum(self, other: Self) -> Option<Self> {
        let sum = self + other;
        sum.is_finite().then_some(sum)
    }
}

/// Adds `new` to the existing number.
///
/// # Errors
/// [`StateError::Overflow`] when the type cannot hold the sum; the field is unchanged then.
pub fn add<N: Number>(field: &'static str, existing: &mut N, new: N) -> Result<(), StateError> {
    *existing = existing.sum(new).ok_or(StateError::Overflow { field })?;
    Ok(())
}

/// A field that `max` and `min` accept: a [`Number`], or an `Option` of one, where `None` yields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be reduced by max or min",
    label = "needs an integer of at most 64 bits, f64, or an Option of one"
)]
pub trait Comparable {
    /// Whether `self` takes the place of `existing` under `max`.
    fn exceeds(&self, existing: &Self) -> bool;
    /// Whether `self` takes the place of `existing` under `min`.
    fn undercuts(&self, existing: &Self) -> bool;
}

impl<N: Number> Comparable for N {
    fn exceeds(&self, existing: &Self) -> bool {
        self > existing
    }

    fn undercuts(&self, existing: &Self) -> bool {
        self < existing
    }
}

impl<N: Number> Comparable for Option<N> {
    fn exceeds(&self, existing: &Self) -> bool {
        match (self, existing) {
            (Some(new), Some(old)) => new > old,
            (new, None) => new.is_some(),
            (None, Some(_)) => false,
        }
    }

    fn undercuts(&self, existing: &Self) -> bool {
        match (self, existing) {
            (Some(new), Some(old)) => new < old,
            (new, None) => new.is_some(),
            (None, Some(_)) => false,
        }
    }
}

/// Keeps the larger of the two.
pub fn max<T: Comparable>(existing: &mut T, new: T) {
    if new.exceeds(existing) {
        *existing = new;
    }
}

/// Keeps the smaller of the two.
pub fn min<T: Comparable>(existing: &mut T, new: T) {
    if new.undercuts(existing) {
        *existing = new;
    }
}

/// A collection that `union` accepts: `Vec`, `BTreeSet`, `HashSet`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be reduced by union",
    label = "needs a Vec, BTreeSet or HashSet"
)]
pub trait Union {
    /// Adds the items of `new` that are not there yet, in their order.
    fn unite(&mut self, new: Self);
}

impl<T: PartialEq> Union for Vec<T> {
    fn unite(&mut self, new: Self) {
        for item in new {
            if !self.contains(&item) {
                self.push(item);
            }
        }
    }
}

impl<T: Ord> Union for BTreeSet<T> {
    fn unite(&mut self, new: Self) {
        self.extend(new);
    }
}

impl<T: Eq + Hash, H: BuildHasher> Union for HashSet<T, H> {
    fn unite(&mut self, new: Self) {
        self.extend(new);
    }
}

/// Adds the items of `new` that are not there yet.
pub fn union<C: Union>(existing: &mut C, new: C) {
    existing.unite(new);
}

/// A map that `merge` accepts: `BTreeMap`, `HashMap`, `serde_json::Map`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be reduced by merge",
    label = "needs a BTreeMap, HashMap or serde_json::Map"
)]
pub trait Merge {
    /// Puts the entries of `new` into this map; an equal key takes the new value.
    fn absorb(&mut self, new: Self);
}

impl<K: Ord, V> Merge for BTreeMap<K, V> {
    fn absorb(&mut self, new: Self) {
        self.extend(new);
    }
}

impl<K: Eq + Hash, V, H: BuildHasher> Merge for HashMap<K, V, H> {
    fn absorb(&mut self, new: Self) {
        self.extend(new);
    }
}

impl Merge for serde_json::Map<String, serde_json::Value> {
    fn absorb(&mut self, new: Self) {
        self.extend(new);
    }
}

/// Puts the entries of `new` into the existing map.
pub fn merge<M: Merge>(existing: &mut M, new: M) {
    existing.absorb(new);
}
