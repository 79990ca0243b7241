// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cuts bytes that arrive in pieces into JSON objects: one array of them, or one after another, as in
//! JSON lines.
//!
//! It looks only for where an object ends; whether it is JSON is for the parser to say, record by
//! record. It holds one record at a time, of at most [`IMPORT_RECORD_BYTES_MAX`] bytes.

use super::IMPORT_RECORD_BYTES_MAX;
use super::record::StructureProblem;

/// The bytes of one object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JsonRecord {
    /// The line where it begins; the first is 1.
    pub(crate) line: u64,
    pub(crate) raw: Vec<u8>,
}

/// What may come next, outside of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    /// Nothing was read yet.
    Start,
    /// Objects follow one another.
    Lines,
    /// In an array, before an object.
    ArrayItem,
    /// In an array, after an object.
    ArrayNext,
    /// The array was closed.
    Ended,
}

/// A reader that is fed byte by byte.
#[derive(Debug)]
pub(crate) struct JsonReader {
    between: Between,
    /// How many braces and brackets of the object are open.
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    line: u64,
    record_line: u64,
    raw: Vec<u8>,
}

impl JsonReader {
    pub(crate) fn new() -> Self {
        Self {
            between: Between::Start,
            depth: 0,
            in_text: false,
            is_escaped: false,
            line: 1,
            record_line: 1,
            raw: Vec::new(),
        }
    }

    /// Takes one byte; gives the object that it ends.
    ///
    /// # Errors
    /// When something other than an object stands where one is due, or the object is too long.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<JsonRecord>, StructureProblem> {
        if byte == b'\n' {
            self.line += 1;
        }
        if self.depth == 0 {
            self.step_between(byte)?;
            return Ok(None);
        }
        if self.raw.len() >= IMPORT_RECORD_BYTES_MAX {
            return Err(StructureProblem::RecordTooLarge {
                line: self.record_line,
            });
        }
        self.raw.push(byte);
        if self.in_text {
            self.step_in_text(byte);
            return Ok(None);
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        if self.depth > 0 {
            return Ok(None);
        }
        self.between = match self.between {
            Between::ArrayItem => Between::ArrayNext,
            other => other,
        };
        Ok(Some(JsonRecord {
            line: self.record_line,
            raw: std::mem::take(&mut self.raw),
        }))
    }

    /// The end of the file.
    ///
    /// # Errors
    /// When an object or the array was never closed.
    pub(crate) fn finish(&self) -> Result<(), StructureProblem> {
        let is_whole = matches!(
            self.between,
            Between::Start | Between::Lines | Between::Ended
        );
        if self.depth > 0 || !is_whole {
            let line = if self.depth > 0 {
                self.record_line
            } else {
                self.line
            };
            return Err(StructureProblem::OpenJson { line });
        }
        Ok(())
    }

    fn step_between(&mut self, byte: u8) -> Result<(), StructureProblem> {
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.between = match (self.between, byte) {
            (Between::Start, b'[') | (Between::ArrayNext, b',') => Between::ArrayItem,
            // An empty array; a comma before the end is passed over as well.
            (Between::ArrayItem | Between::ArrayNext, b']') => Between::Ended,
            (Between::Start | Between::Lines, b'{') => self.open(Between::Lines),
            (Between::ArrayItem, b'{') => self.open(Between::ArrayItem),
            _ => return Err(StructureProblem::NotAnObject { line: self.line }),
        };
        Ok(())
    }

    fn open(&mut self, between: Between) -> Between {
        self.depth = 1;
        self.record_line = self.line;
        self.raw.push(b'{');
        between
    }

    fn step_in_text(&mut self, byte: u8) {
        if self.is_escaped {
            self.is_escaped = false;
        } else if byte == b'\\' {
            self.is_escaped = true;
        } else if byte == b'"' {
            self.in_text = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(u64, String)>, StructureProblem> {
        let mut reader = JsonReader::new();
        let mut records = Vec::new();
        for byte in text.bytes() {
            if let Some(record) = reader.push(byte)? {
                records.push((record.line, String::from_utf8(record.raw).unwrap()));
            }
        }
        reader.finish()?;
        Ok(records)
    }

    #[test]
    fn an_array_and_lines_give_the_same_records() {
        let expected = vec![
            (1, r#"{"a":"}\"]"}"#.to_owned()),
            (2, r#"{"b":[{}]}"#.to_owned()),
        ];
        let lines = "{\"a\":\"}\\\"]\"}\n{\"b\":[{}]}\n";
        let array = "[{\"a\":\"}\\\"]\"},\n{\"b\":[{}]}]";
        assert_eq!(read(lines).unwrap(), expected);
        assert_eq!(read(array).unwrap(), expected);
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read("[]").unwrap(), []);
    }

    #[test]
    fn what_is_no_object_is_named_by_its_line() {
        assert_eq!(
            read("{}\n{}\n7").unwrap_err(),
            StructureProblem::NotAnObject { line: 3 }
        );
        assert_eq!(
            read("[{}\n{}]").unwrap_err(),
            StructureProblem::NotAnObject { line: 2 }
        );
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        for text in ["{}\n{\"a\":", "[{}", "["] {
            assert!(
                matches!(read(text), Err(StructureProblem::OpenJson { .. })),
                "{text}"
            );
        }
    }
}
