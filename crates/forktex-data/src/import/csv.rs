// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cuts bytes that arrive in pieces into the records of a CSV file (RFC 4180).
//!
//! It is strict where readers of CSV are often lenient: a quote inside a bare field, text after a
//! closing quote, and bytes that are no UTF-8 are problems of their record, with the place. After such
//! a record it goes on at the next line. It knows no columns and no types, and holds one record at a
//! time, of at most [`IMPORT_RECORD_BYTES_MAX`] bytes.

use super::record::{RecordProblem, StructureProblem};
use super::{IMPORT_FIELDS_MAX, IMPORT_RECORD_BYTES_MAX};

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvField {
    pub(crate) text: String,
    /// It stood in quotes: then an empty one is the empty text, and not an absent cell.
    pub(crate) is_quoted: bool,
}

/// One record, or why it is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CsvRecord {
    /// The line where it begins; the first is 1.
    pub(crate) line: u64,
    pub(crate) fields: Result<Vec<CsvField>, RecordProblem>,
    /// Its bytes as they came, without the end of the line.
    pub(crate) raw: Vec<u8>,
}

/// Where in a record the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte of a field.
    FieldStart,
    Bare,
    Quoted,
    /// After a quote inside a quoted field: the end of it, or the first half of an escaped quote.
    QuoteSeen,
    /// After a problem: everything up to the end of the line is passed over.
    Lost,
}

/// A reader that is fed byte by byte.
#[derive(Debug)]
pub(crate) struct CsvReader {
    state: State,
    separator: u8,
    line: u64,
    record_line: u64,
    field: Vec<u8>,
    field_is_quoted: bool,
    fields: Vec<CsvField>,
    raw: Vec<u8>,
    problem: Option<RecordProblem>,
    /// A carriage return was the last byte: a line feed that follows belongs to it.
    after_return: bool,
    /// The bytes of a mark of the encoding that were seen at the very start.
    mark_bytes: u8,
}

const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
/// More bytes than the mark has, once the start is over.
const MARK_IS_OVER: u8 = 4;

impl CsvReader {
    pub(crate) fn new(separator: u8) -> Self {
        Self {
            state: State::FieldStart,
            separator,
            line: 1,
            record_line: 1,
            field: Vec::new(),
            field_is_quoted: false,
            fields: Vec::new(),
            raw: Vec::new(),
            problem: None,
            after_return: false,
            mark_bytes: 0,
        }
    }

    /// Takes one byte; gives the record that it ends.
    ///
    /// # Errors
    /// When the record is too long to be held, which ends the file: where the next one begins is then
    /// unknown.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<CsvRecord>, StructureProblem> {
        if self.is_mark(byte) {
            return Ok(None);
        }
        let follows_return = std::mem::replace(&mut self.after_return, false);
        if byte == b'\n' && follows_return && self.state != State::Quoted {
            return Ok(None);
        }
        if self.state != State::Quoted && (byte == b'\n' || byte == b'\r') {
            self.after_return = byte == b'\r';
            let record = self.end_record();
            self.line += 1;
            self.record_line = self.line;
            return Ok(record);
        }
        if self.raw.len() >= IMPORT_RECORD_BYTES_MAX {
            return Err(StructureProblem::RecordTooLarge {
                line: self.record_line,
            });
        }
        self.raw.push(byte);
        self.step(byte);
        Ok(None)
    }

    /// The end of the file: gives the record that no line feed ended.
    ///
    /// # Errors
    /// When a quote was never closed.
    pub(crate) fn finish(&mut self) -> Result<Option<CsvRecord>, StructureProblem> {
        if self.state == State::Quoted {
            return Err(StructureProblem::OpenQuote {
                line: self.record_line,
            });
        }
        Ok(self.end_record())
    }

    /// Whether the byte belongs to the mark of the encoding with which some programs begin a file.
    fn is_mark(&mut self, byte: u8) -> bool {
        let expected = MARK.get(usize::from(self.mark_bytes));
        if self.mark_bytes < MARK_IS_OVER && expected == Some(&byte) {
            self.mark_bytes += 1;
            return true;
        }
        if self.mark_bytes > 0 && self.mark_bytes < 3 {
            // It only began like the mark, and is then no UTF-8 either.
            self.lose(RecordProblem::Encoding);
        }
        self.mark_bytes = MARK_IS_OVER;
        false
    }

    fn step(&mut self, byte: u8) {
        match (self.state, byte) {
            (State::FieldStart, b'"') => {
                self.field_is_quoted = true;
                self.state = State::Quoted;
            }
            (State::FieldStart | State::Bare | State::QuoteSeen, byte)
                if byte == self.separator =>
            {
                self.end_field();
            }
            (State::FieldStart | State::Bare, byte) if byte != b'"' => {
                self.field.push(byte);
                self.state = State::Bare;
            }
            (State::Quoted, b'"') => self.state = State::QuoteSeen,
            (State::Quoted, byte) => {
                self.field.push(byte);
                if byte == b'\n' {
                    self.line += 1;
                }
            }
            (State::QuoteSeen, b'"') => {
                self.field.push(b'"');
                self.state = State::Quoted;
            }
            (State::Lost, _) => {}
            // A quote inside a bare field, or text after a closing quote.
            _ => {
                let field = self.fields.len() + 1;
                self.lose(RecordProblem::Quotes { field });
            }
        }
    }

    fn lose(&mut self, problem: RecordProblem) {
        self.problem.get_or_insert(problem);
        self.state = State::Lost;
    }

    fn end_field(&mut self) {
        let is_quoted = std::mem::replace(&mut self.field_is_quoted, false);
        let bytes = std::mem::take(&mut self.field);
        self.state = State::FieldStart;
        if self.fields.len() >= IMPORT_FIELDS_MAX {
            return self.lose(RecordProblem::TooManyFields);
        }
        match String::from_utf8(bytes) {
            Ok(text) => self.fields.push(CsvField { text, is_quoted }),
            Err(_) => self.lose(RecordProblem::Encoding),
        }
    }

    /// Ends the record. A line without any byte is none.
    fn end_record(&mut self) -> Option<CsvRecord> {
        if self.raw.is_empty() && self.problem.is_none() {
            return None;
        }
        if self.state != State::Lost {
            self.end_field();
        }
        self.state = State::FieldStart;
        self.field.clear();
        self.field_is_quoted = false;
        let fields = std::mem::take(&mut self.fields);
        Some(CsvRecord {
            line: self.record_line,
            fields: self.problem.take().map_or(Ok(fields), Err),
            raw: std::mem::take(&mut self.raw),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<CsvRecord>, StructureProblem> {
        let mut reader = CsvReader::new(b',');
        let mut records = Vec::new();
        for byte in text {
            records.extend(reader.push(*byte)?);
        }
        records.extend(reader.finish()?);
        Ok(records)
    }

    fn texts(text: &str) -> Vec<Vec<String>> {
        let records = read(text.as_bytes()).unwrap();
        let fields = records.into_iter().map(|record| record.fields.unwrap());
        fields
            .map(|fields| fields.into_iter().map(|field| field.text).collect())
            .collect()
    }

    #[test]
    fn lines_end_in_any_of_the_three_ways() {
        let expected = vec![vec!["a", "b"], vec!["c", ""]];
        for text in [
            "a,b\nc,\n",
            "a,b\r\nc,\r\n",
            "a,b\rc,",
            "\u{feff}a,b\n\n\nc,",
        ] {
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_hold_separators_lines_and_quotes() {
        assert_eq!(texts("\"a,\"\"b\"\"\r\nc\",d"), [["a,\"b\"\r\nc", "d"]]);
    }

    #[test]
    fn an_empty_field_in_quotes_is_told_from_a_bare_one() {
        let records = read(b",\"\"").unwrap();
        let quoted = records[0].fields.as_ref().unwrap();
        assert_eq!(
            quoted
                .iter()
                .map(|field| field.is_quoted)
                .collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn a_broken_quote_loses_its_record_alone() {
        let records = read(b"a,b\nc,d\"e\n\"f\"g,h\ni,j").unwrap();
        let told: Vec<_> = records
            .into_iter()
            .map(|record| (record.line, record.fields.err()))
            .collect();
        assert_eq!(
            told,
            [
                (1, None),
                (2, Some(RecordProblem::Quotes { field: 2 })),
                (3, Some(RecordProblem::Quotes { field: 1 })),
                (4, None),
            ]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_the_file_at_its_line() {
        let error = read(b"a\n\nb,\"c\nd\n").unwrap_err();
        assert_eq!(error, StructureProblem::OpenQuote { line: 3 });
    }

    #[test]
    fn bytes_that_are_no_text_are_a_problem_of_their_record() {
        let records = read(b"a\n\xff\nb").unwrap();
        assert_eq!(records[1].fields, Err(RecordProblem::Encoding));
        assert_eq!((records[1].line, records[2].line), (2, 3));
        let records = read(b"\xef\xbba\nb").unwrap();
        assert_eq!(records[0].fields, Err(RecordProblem::Encoding));
    }

    #[test]
    fn lines_inside_quotes_are_counted() {
        let records = read(b"\"a\nb\"\nc").unwrap();
        assert_eq!((records[0].line, records[1].line), (1, 3));
    }

    #[test]
    fn a_record_without_end_is_refused_before_it_fills_the_memory() {
        let mut reader = CsvReader::new(b',');
        let told = (0..=IMPORT_RECORD_BYTES_MAX).find_map(|_| reader.push(b'a').err());
        assert_eq!(told, Some(StructureProblem::RecordTooLarge { line: 1 }));
    }
}
