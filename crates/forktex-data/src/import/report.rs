// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What became of an import, row by row. It holds no values of the file.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use super::IMPORT_PROBLEMS_MAX;
use super::record::RecordProblem;
use crate::coerce::CellProblem;

/// What an import did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ImportReport {
    /// Under which quarantined rows are found.
    pub import_id: Uuid,
    /// Rows of the file, those that failed included.
    pub rows: u64,
    /// Rows that were created, or would have been.
    pub created: u64,
    /// Rows that were there and were patched, or would have been.
    pub updated: u64,
    /// Rows that failed.
    pub failed: u64,
    /// What was wrong with them, the first 1,000 problems.
    pub problems: Vec<ImportProblem>,
    /// Columns that are ours to set, and were passed over.
    pub ignored_columns: Vec<String>,
    /// Nothing was written.
    pub is_dry_run: bool,
}

/// One thing that is wrong with one row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ImportProblem {
    /// The line where the row begins; the first of the file is 1.
    pub line: u64,
    /// The field at fault, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: RowProblem,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum RowProblem {
    /// The record could not be read.
    Record(RecordProblem),
    /// A value does not fit its field.
    Cell(CellProblem),
    /// The row was refused when it was to be written, as for a duplicate of a unique value.
    Refused {
        /// Why, without values.
        message: String,
    },
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(problem) => problem.fmt(f),
            Self::Cell(problem) => problem.fmt(f),
            Self::Refused { message } => f.write_str(message),
        }
    }
}

impl fmt::Display for ImportProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "line {}, `{field}`: {}", self.line, self.problem),
            None => write!(f, "line {}: {}", self.line, self.problem),
        }
    }
}

/// The report while it grows.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) failed: u64,
    import_id: Uuid,
    problems: Vec<ImportProblem>,
    ignored: Vec<String>,
    is_dry: bool,
    /// Rows of transactions that were committed.
    standing: u64,
}

impl Tally {
    pub(crate) fn new(is_dry: bool) -> Self {
        Self {
            rows: 0,
            created: 0,
            updated: 0,
            failed: 0,
            import_id: Uuid::now_v7(),
            problems: Vec::new(),
            ignored: Vec::new(),
            is_dry,
            standing: 0,
        }
    }

    pub(crate) fn import_id(&self) -> Uuid {
        self.import_id
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.is_dry
    }

    /// Notes that what was written so far is committed.
    pub(crate) fn stand(&mut self) {
        self.standing = self.created + self.updated;
    }

    pub(crate) fn standing(&self) -> u64 {
        self.standing
    }

    pub(crate) fn ignore(&mut self, columns: Vec<String>) {
        self.ignored = columns;
    }

    /// Notes a row that failed.
    pub(crate) fn fail(&mut self, problems: &[ImportProblem]) {
        self.failed += 1;
        let room = IMPORT_PROBLEMS_MAX.saturating_sub(self.problems.len());
        self.problems.extend(problems.iter().take(room).cloned());
    }

    pub(crate) fn into_report(mut self) -> ImportReport {
        // Rows that fail together are told out of their order.
        self.problems.sort_by_key(|problem| problem.line);
        ImportReport {
            import_id: self.import_id,
            rows: self.rows,
            created: self.created,
            updated: self.updated,
            failed: self.failed,
            problems: self.problems,
            ignored_columns: self.ignored,
            is_dry_run: self.is_dry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: u64) -> ImportProblem {
        ImportProblem {
            line,
            field: None,
            problem: RowProblem::Record(RecordProblem::Encoding),
        }
    }

    #[test]
    fn all_failures_are_counted_and_the_first_are_listed_by_line() {
        let mut tally = Tally::new(false);
        for line in (0..2_000).rev() {
            tally.fail(&[problem(line)]);
        }
        let report = tally.into_report();
        assert_eq!(report.failed, 2_000);
        assert_eq!(report.problems.len(), IMPORT_PROBLEMS_MAX);
        assert!(report.problems.is_sorted_by_key(|problem| problem.line));
    }

    #[test]
    fn a_problem_is_json_with_its_code_and_place() {
        let json = serde_json::to_value(problem(3)).unwrap();
        assert_eq!(json, serde_json::json!({"line": 3, "code": "encoding"}));
    }
}
