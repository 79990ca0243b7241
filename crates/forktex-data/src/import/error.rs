// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Why an import ended before its file did.

use std::sync::Arc;

use super::IMPORT_FAILED_ROWS_MAX;
use super::record::{RecordProblem, StructureProblem};
use crate::error::DataError;
use crate::validate::RowProblems;

/// An import that did not come to its end.
///
/// With [`OnError::Stop`](super::OnError::Stop), and in a dry run, nothing was written. Otherwise the
/// batches before stand, and `written` says how many rows they have.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The source of the bytes failed.
    #[error(
        "cannot import: the file could not be read to its end ({written} rows were written before)"
    )]
    Read {
        /// How many rows stand.
        written: u64,
        /// Why it could not be read.
        source: Arc<std::io::Error>,
    },
    /// The file is broken in such a way that no further record can be found in it.
    #[error("cannot import any further: {problem} ({written} rows were written before)")]
    Broken {
        /// How many rows stand.
        written: u64,
        /// What is wrong, and at which line.
        problem: StructureProblem,
    },
    /// The file has no header.
    #[error("cannot import: the file has no header, which names the fields")]
    NoHeader,
    /// The header is no record.
    #[error("cannot import: the header cannot be read: {problem}")]
    Header {
        /// What is wrong with it.
        problem: RecordProblem,
    },
    /// A column is no field of the register.
    #[error("cannot import column `{column}`: register `{register}` has no such field{}", Nearest(nearest.as_deref()))]
    UnknownColumn {
        /// The register.
        register: String,
        /// The column.
        column: String,
        /// A field whose name is near to it.
        nearest: Option<String>,
    },
    /// Two columns have one name.
    #[error("cannot import: the header names column `{column}` twice")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// The column by which rows would be matched is not in the file.
    #[error("cannot import: the file has no column `{column}`, by which rows were to be matched")]
    NoMatchColumn {
        /// The column.
        column: String,
    },
    /// A record is no row; nothing was written.
    #[error("cannot import the record at line {line}: {problem}; nothing was written")]
    Record {
        /// Where it begins.
        line: u64,
        /// What is wrong with it.
        problem: RecordProblem,
    },
    /// A row is not as its register wants it; nothing was written.
    #[error("cannot import the row at line {line}: {problems}; nothing was written")]
    Row {
        /// Where it begins.
        line: u64,
        /// All that is wrong with it.
        problems: RowProblems,
    },
    /// A row was refused when it was to be written; nothing was written.
    #[error("cannot write the row at line {line}, so nothing was written")]
    Refused {
        /// Where it begins.
        line: u64,
        /// Why.
        source: Arc<DataError>,
    },
    /// So many rows failed that the file is most likely not the one that was meant.
    #[error(
        "gave up the import after {IMPORT_FAILED_ROWS_MAX} rows that failed ({written} rows were written)"
    )]
    TooManyFailures {
        /// How many rows stand.
        written: u64,
    },
}

/// Writes a hint, or nothing.
struct Nearest<'a>(Option<&'a str>);

impl std::fmt::Display for Nearest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .map_or(Ok(()), |name| write!(f, "; did you mean `{name}`?"))
    }
}
