// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Searching rows in memory by the words of their searchable fields: the words that the index of a
//! stored row would have.

use super::MemoryRow;
use crate::query::QueryError;
use crate::register::LoadedRegister;
use crate::search::{self, Search};
use crate::value::Value;

/// Refuses a search where there is nothing to search in, as a stored register does.
pub(crate) fn check(register: &LoadedRegister, search: &Search) -> Result<(), QueryError> {
    let mut fields = register.fields.iter();
    if *search == Search::None || fields.any(|field| field.definition.searchable) {
        return Ok(());
    }
    Err(QueryError::NotSearchable {
        register: register.name.clone(),
    })
}

/// Whether the row has the words that are searched for.
pub(super) fn matches(register: &LoadedRegister, search: &Search, row: &MemoryRow) -> bool {
    if matches!(search, Search::None) {
        return true;
    }
    let searchable = register
        .fields
        .iter()
        .zip(&row.cells)
        .filter(|(field, _)| field.definition.searchable);
    let texts: Vec<String> = searchable
        .filter_map(|(_, cell)| cell.value().map(Value::canonical_text))
        .collect();
    let words = search::words_of(texts.iter().map(String::as_str));
    search::matches(search, &words)
}
