// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! In which order: names of fields, `-` before one that descends.
//!
//! Empty cells count as the greatest. Ties end with the row's id, in the direction of the last key, so
//! that every order is total.

use crate::filter::check::Column;
use crate::query::{QueryError, QueryPart};
use crate::register::LoadedRegister;

/// Which end comes first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SortDirection {
    /// The least first; empty cells last.
    #[default]
    Ascending,
    /// The greatest first; empty cells before all.
    Descending,
}

/// One key of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SortKey {
    pub(crate) column: Column,
    pub(crate) direction: SortDirection,
}

/// A name with its direction.
pub(crate) fn parse(text: &str) -> (&str, SortDirection) {
    match text.strip_prefix('-') {
        Some(name) => (name, SortDirection::Descending),
        None => (text, SortDirection::Ascending),
    }
}

/// The keys of an order. A column that is named again is left out: its first place decides. Without a
/// key, rows come in the order in which they were made.
///
/// # Errors
/// [`QueryError`] for a field that is not there or has no order, and for too many keys.
pub(crate) fn check(
    order: &[String],
    register: &LoadedRegister,
) -> Result<Vec<SortKey>, QueryError> {
    QueryPart::SortKeys.check(order.len())?;
    let mut keys: Vec<SortKey> = Vec::with_capacity(order.len());
    for text in order {
        let (name, direction) = parse(text);
        let column = Column::find(register, name).ok_or_else(|| QueryError::UnknownField {
            register: register.name.clone(),
            field: name.to_owned(),
            nearest: Column::nearest(register, name),
        })?;
        if !column.capabilities(register).sortable {
            return Err(QueryError::NotSortable {
                field: name.to_owned(),
                kind: column.kind(register),
            });
        }
        // Nothing after the id can make a difference.
        let decides = keys
            .iter()
            .all(|key| ![column, Column::Id].contains(&key.column));
        if decides {
            keys.push(SortKey { column, direction });
        }
    }
    Ok(keys)
}

/// The direction in which ties end with the row's id.
pub(crate) fn tie_direction(keys: &[SortKey]) -> SortDirection {
    keys.last()
        .map_or(SortDirection::Ascending, |key| key.direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minus_descends() {
        assert_eq!(parse("-total"), ("total", SortDirection::Descending));
        assert_eq!(parse("total"), ("total", SortDirection::Ascending));
        assert_eq!(parse(""), ("", SortDirection::Ascending));
    }

    #[test]
    fn what_stands_after_the_id_decides_nothing_and_is_checked_all_the_same() {
        let register = crate::filter::check::tests::register();
        let order = |keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            check(&keys, &register)
        };
        let keys = order(&["-status", "id", "status", "total"]).unwrap();
        let columns: Vec<Column> = keys.iter().map(|key| key.column).collect();
        assert_eq!(columns, [Column::Field(0), Column::Id]);
        assert!(matches!(
            order(&["id", "statsu"]),
            Err(QueryError::UnknownField { .. })
        ));
    }

    #[test]
    fn ties_go_with_the_last_key() {
        let key = |direction| SortKey {
            column: Column::Version,
            direction,
        };
        assert_eq!(tie_direction(&[]), SortDirection::Ascending);
        let keys = [
            key(SortDirection::Ascending),
            key(SortDirection::Descending),
        ];
        assert_eq!(tie_direction(&keys), SortDirection::Descending);
    }
}
