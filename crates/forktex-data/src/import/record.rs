// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can be wrong with a record before its values are looked at, and with a file as a whole.
//!
//! None of it holds a value of the file.

use serde::Serialize;

use super::{IMPORT_FIELDS_MAX, IMPORT_RECORD_BYTES_MAX};

/// Why one record of a file is no row. The records after it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordProblem {
    /// Its bytes are no UTF-8.
    #[error("it is not UTF-8; save the file in that encoding")]
    Encoding,
    /// A quote stands inside a bare field, or text follows a closing quote.
    #[error(
        "the quotes of field {field} are broken; put the whole field in quotes, and write a quote in it twice"
    )]
    Quotes {
        /// Which field of the record, counted from 1.
        field: usize,
    },
    /// It has another number of fields than the header.
    #[error("it has {found} fields where the header has {expected}")]
    Columns {
        /// How many the header has.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// It has more fields than can be read.
    #[error("it has more than {IMPORT_FIELDS_MAX} fields")]
    TooManyFields,
    /// It is no JSON.
    #[error("it is not JSON: something is wrong at character {column} of its line {line}")]
    Json {
        /// The line within the record, counted from 1.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// It lacks the external reference by which rows are matched.
    #[error("it has no external reference, by which its row would be found")]
    NoExternalRef,
}

/// Why a file cannot be read any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StructureProblem {
    /// A record is longer than can be held.
    #[error("the record at line {line} has more than {IMPORT_RECORD_BYTES_MAX} bytes")]
    RecordTooLarge {
        /// Where it begins.
        line: u64,
    },
    /// The file ends inside quotes.
    #[error("a quote of the record at line {line} is never closed")]
    OpenQuote {
        /// Where the record begins.
        line: u64,
    },
    /// The file ends inside an object or an array.
    #[error("the JSON at line {line} is never closed")]
    OpenJson {
        /// Where the record begins; of an array, the last line.
        line: u64,
    },
    /// Something other than an object stands where a row is due.
    #[error("something that is no JSON object stands at line {line}")]
    NotAnObject {
        /// Where.
        line: u64,
    },
}
