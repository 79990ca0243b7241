// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Writes rows as records of a CSV that [`import`](crate::import) reads back as they were: absent,
//! null and the empty text are told apart.

use crate::cell::Cell;
use crate::register::LoadedRegister;
use crate::row::Row;
use crate::value::Value;

/// What stands for null; a text that is the same stands in quotes.
const NULL_WORD: &str = "\\N";

pub(super) fn write_header(piece: &mut Vec<u8>, names: &[String]) {
    piece.extend_from_slice(b"id,external_ref");
    for name in names {
        piece.push(b',');
        write_text(piece, name);
    }
    piece.push(b'\n');
}

pub(super) fn write_row(
    piece: &mut Vec<u8>,
    register: &LoadedRegister,
    names: &[String],
    row: &Row,
) {
    write_text(piece, &row.id.to_string());
    piece.push(b',');
    if let Some(external_ref) = &row.external_ref {
        write_text(piece, external_ref);
    }
    for name in names {
        piece.push(b',');
        let is_reference = register
            .field(name)
            .is_some_and(|field| field.definition().field_type.is_reference());
        if is_reference {
            let ids: Vec<String> = row
                .references(name)
                .iter()
                .map(ToString::to_string)
                .collect();
            if !ids.is_empty() {
                write_text(piece, &ids.join(";"));
            }
        } else {
            write_cell(piece, row.cells().get(name).unwrap_or(&Cell::Absent));
        }
    }
    piece.push(b'\n');
}

fn write_cell(piece: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Absent => {}
        Cell::Null => piece.extend_from_slice(NULL_WORD.as_bytes()),
        Cell::Value(Value::Json(json)) => write_text(piece, &json.to_string()),
        Cell::Value(value) => write_text(piece, &value.canonical_text()),
    }
}

/// Writes a text, in quotes where it would be read as something else without them.
fn write_text(piece: &mut Vec<u8>, text: &str) {
    let needs_quotes = text.is_empty()
        || text == NULL_WORD
        || text.starts_with(['\u{feff}', ' ', '\t'])
        || text.ends_with([' ', '\t'])
        || text.contains([',', '"', '\n', '\r']);
    if !needs_quotes {
        return piece.extend_from_slice(text.as_bytes());
    }
    piece.push(b'"');
    piece.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    piece.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cell: &Cell) -> String {
        let mut piece = Vec::new();
        write_cell(&mut piece, cell);
        String::from_utf8(piece).unwrap()
    }

    fn text(text: &str) -> Cell {
        Cell::Value(Value::Text(text.to_owned()))
    }

    #[test]
    fn absent_null_and_the_empty_text_are_told_apart() {
        assert_eq!(written(&Cell::Absent), "");
        assert_eq!(written(&Cell::Null), "\\N");
        assert_eq!(written(&text("")), "\"\"");
        assert_eq!(written(&text("\\N")), "\"\\N\"");
    }

    #[test]
    fn what_would_end_a_field_stands_in_quotes() {
        assert_eq!(written(&text("plain")), "plain");
        assert_eq!(written(&text("a,b")), "\"a,b\"");
        assert_eq!(written(&text("a \"b\"\n")), "\"a \"\"b\"\"\n\"");
    }
}
