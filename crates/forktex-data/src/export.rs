// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows as CSV or JSON, of any number: read page by page along the primary key, written in pieces.
//!
//! It is no snapshot: a row that is changed while the export runs is written as it is when its page is
//! read. A row that is there all the time is written exactly once.

mod csv;

use futures_util::stream::{self, Stream};

use crate::error::DataError;
use crate::filter::Filter;
use crate::query::{Archived, RowQuery};
use crate::register::Register;
use crate::result::QueryResult;
use crate::row::Row;

#[cfg(doc)]
use crate::import::ImportFormat;

/// Rows that are read at once, and written as one piece.
pub(crate) const EXPORT_PAGE_ROWS: u32 = 500;

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// As [`ImportFormat::Csv`] reads it: a header, then `id`, `external_ref` and the fields. A text is
    /// written as it is; one that begins with `=` is a formula to some programs that show tables.
    Csv,
    /// One array of objects, as [`Row::to_json`] writes them.
    Json,
    /// One object a line.
    JsonLines,
}

impl ExportFormat {
    /// The media type of what is written.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
            Self::JsonLines => "application/jsonl",
        }
    }
}

/// An export that is to be run. Made by [`Register::export`].
#[derive(Clone)]
#[must_use = "nothing is read until the stream is"]
pub struct Export {
    register: Register,
    format: ExportFormat,
    filter: Option<Filter>,
    fields: Option<Vec<String>>,
    archived: Archived,
}

impl Register {
    /// Exports rows: all that are not archived, unless told otherwise.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, ExportFormat, Register, field};
    /// use futures_util::TryStreamExt as _;
    ///
    /// # async fn example(invoices: &Register) -> Result<(), DataError> {
    /// let mut file = Vec::new();
    /// let export = invoices
    ///     .export(ExportFormat::Csv)
    ///     .filter(field("status").eq("paid"))
    ///     .fields(["number", "total"]);
    /// let mut pieces = std::pin::pin!(export.stream());
    /// while let Some(piece) = pieces.try_next().await? {
    ///     file.extend(piece);
    /// }
    /// assert!(file.starts_with(b"id,external_ref,number,total\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn export(&self, format: ExportFormat) -> Export {
        Export {
            register: self.clone(),
            format,
            filter: None,
            fields: None,
            archived: Archived::Exclude,
        }
    }
}

impl Export {
    /// Only rows that the filter takes.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Only these fields, in this order for a CSV; all by default.
    pub fn fields(mut self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.fields = Some(fields.into_iter().map(Into::into).collect());
        self
    }

    /// Whether archived rows are written; they are not by default.
    pub fn archived(mut self, archived: Archived) -> Self {
        self.archived = archived;
        self
    }

    /// The bytes, in pieces of at most 500 rows. One request a piece.
    ///
    /// An error ends the stream. For a CSV and JSON array that is how an export is told from one that
    /// was cut off: the array is not closed.
    ///
    /// # Errors
    /// Those of [`RowQuery`]; a field that is not there is named before the first row.
    ///
    /// # Cancellation
    /// Safe: it only reads, and holds no connection between the pieces.
    pub fn stream(self) -> impl Stream<Item = Result<Vec<u8>, DataError>> + Send + 'static {
        let state = Some(State {
            export: self,
            after: None,
            is_first: true,
        });
        stream::unfold(state, |state| async move {
            let state = state?;
            match state.next().await {
                Ok((piece, state)) => Some((Ok(piece), state)),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The names of the fields that are written.
    fn names(&self) -> Result<Vec<String>, DataError> {
        let register = self.register.loaded();
        match &self.fields {
            None => Ok(register
                .fields
                .iter()
                .map(|field| field.name().to_owned())
                .collect()),
            Some(names) => {
                for name in names {
                    register.require_field(name)?;
                }
                Ok(names.clone())
            }
        }
    }
}

/// Between two pieces.
struct State {
    export: Export,
    after: Option<crate::cursor::Cursor>,
    is_first: bool,
}

impl State {
    /// Reads and writes the next piece; there is no state after the last.
    async fn next(self) -> Result<(Vec<u8>, Option<Self>), DataError> {
        let names = self.export.names()?;
        let page = self.page(&names).await?;
        let mut piece = Vec::new();
        self.write(&mut piece, &names, &page)?;
        let next = page.next.map(|after| Self {
            after: Some(after),
            is_first: false,
            ..self
        });
        Ok((piece, next))
    }

    async fn page(&self, names: &[String]) -> Result<QueryResult, DataError> {
        let export = &self.export;
        let mut query = RowQuery::new(&export.register)
            .archived(export.archived)
            .fields(names.iter().map(String::as_str))
            .order_by("id");
        if let Some(filter) = &export.filter {
            query = query.filter(filter.clone());
        }
        match &self.after {
            None => query.scroll(EXPORT_PAGE_ROWS).await,
            Some(after) => query.scroll_after(after.clone(), EXPORT_PAGE_ROWS).await,
        }
    }

    fn write(
        &self,
        piece: &mut Vec<u8>,
        names: &[String],
        page: &QueryResult,
    ) -> Result<(), DataError> {
        let is_last = page.next.is_none();
        match self.export.format {
            ExportFormat::Csv => {
                if self.is_first {
                    csv::write_header(piece, names);
                }
                let register = self.export.register.loaded();
                for row in &page.rows {
                    csv::write_row(piece, register, names, row);
                }
            }
            ExportFormat::Json => {
                piece.extend_from_slice(if self.is_first { b"[" } else { b"," });
                // An empty page after others cannot be: the page before would have been the last.
                for (index, row) in page.rows.iter().enumerate() {
                    if index > 0 {
                        piece.push(b',');
                    }
                    piece.push(b'\n');
                    write_json(piece, row)?;
                }
                if is_last {
                    piece.extend_from_slice(b"\n]\n");
                }
            }
            ExportFormat::JsonLines => {
                for row in &page.rows {
                    write_json(piece, row)?;
                    piece.push(b'\n');
                }
            }
        }
        Ok(())
    }
}

fn write_json(piece: &mut Vec<u8>, row: &Row) -> Result<(), DataError> {
    serde_json::to_writer(piece, &row.to_json()).map_err(|_| DataError::corrupt("row", row.id))
}
