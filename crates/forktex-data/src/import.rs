// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows out of CSV and JSON files of any size: read in pieces, checked row by row, written in batches.
//!
//! It never guesses: a column that is no field is refused, and so is a value that does not fit, with
//! its line and field. Errors and reports hold no values of the file; only the quarantine does, which is
//! the tenant's own table.

mod csv;
mod error;
mod json;
mod prepare;
mod quarantine;
mod reader;
mod record;
mod report;
mod write;

use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;

use forktex_db::Transaction;
use futures_util::stream::{Stream, StreamExt as _};
use time::OffsetDateTime;
use tokio::io::AsyncRead;
use uuid::Uuid;

pub use self::error::ImportError;
use self::prepare::Columns;
pub use self::quarantine::QuarantinedRow;
use self::reader::{Pieces, ReadFailure, Records};
pub use self::record::{RecordProblem, StructureProblem};
use self::report::Tally;
pub use self::report::{ImportProblem, ImportReport, RowProblem};
use self::write::{Batch, new_rows};
use crate::error::DataError;
pub(crate) use crate::limits::{IMPORT_BATCH_ROWS, IMPORT_PROBLEMS_MAX, IMPORT_RECORD_BYTES_MAX};
use crate::register::Register;
use crate::row::RowId;
use crate::rows;
use crate::rows::create::TURN_ROWS;

/// Bytes of the records of one batch: 8 MiB. A batch ends with the record that passes it.
pub(crate) const IMPORT_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Fields of one record.
pub(crate) const IMPORT_FIELDS_MAX: usize = 1_000;

/// Rows that may fail before an import gives up.
pub const IMPORT_FAILED_ROWS_MAX: u64 = 100_000;

/// How a file is written.
///
/// In both, `external_ref` is the reference under which another system knows the row. `id`, `version`,
/// `created_at`, `updated_at` and `archived_at`, computed fields and gapless numbers are ours to set:
/// they are passed over, and the report names them. What [`Register::export`] writes is read back as it
/// was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportFormat {
    /// Comma separated values (RFC 4180) in UTF-8, with or without a byte order mark. The first record
    /// names the fields. In the rows:
    ///
    /// | written | means |
    /// |---|---|
    /// | nothing, as in `a,,b` | absent: the default of the field, where it has one |
    /// | `\N` without quotes | null: empty on purpose |
    /// | `""` | the empty text in a text field, absent in any other |
    /// | ids with `;` between | the rows of a reference field |
    Csv,
    /// One array of objects, or objects one after another (JSON lines). A member is what
    /// [`Draft`](crate::Draft) takes.
    Json,
}

/// What becomes of an import when a row fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnError {
    /// Nothing at all is written: the whole import is one transaction, and ends at the first row that
    /// fails. The register cannot be changed meanwhile.
    #[default]
    Stop,
    /// The row is left out, and reported. Each batch of 1,000 rows is a transaction of its own.
    Skip,
    /// As [`Skip`](Self::Skip), and the row is kept with its problems, to be mended: see
    /// [`Register::quarantined`].
    Quarantine,
}

/// An import that is to be run; await it. Made by [`Register::import`].
#[must_use = "nothing is imported until it is awaited"]
pub struct Import<'s> {
    register: Register,
    format: ImportFormat,
    pieces: Pieces<'s>,
    on_error: OnError,
    separator: u8,
    /// The column whose value matches rows: it is written as their external reference.
    matched_by: Option<String>,
    is_dry: bool,
    actor: Option<Uuid>,
}

impl Register {
    /// Imports rows from a file.
    ///
    /// At most two batches of rows are held at a time: while the database writes one, the next is read,
    /// checked and made ready. [`ImportFormat`] has what a file says.
    ///
    /// # Errors
    /// Awaited: [`DataError::Import`] names the line, and the field or the fault of the file;
    /// [`DataError::Unsupported`] for registers that are not stored.
    ///
    /// # Cancellation
    /// With [`OnError::Stop`] nothing was written. Otherwise the batches before stand; with
    /// [`match_by`](Import::match_by) the import can be run again.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_data::{DataError, ImportFormat, OnError, Register};
    ///
    /// # async fn example(invoices: &Register) -> Result<(), DataError> {
    /// let file = "number,total\nA-1,10.00\nA-2,many\n";
    /// let report = invoices
    ///     .import(ImportFormat::Csv, file.as_bytes())
    ///     .on_error(OnError::Skip)
    ///     .await?;
    /// assert_eq!((report.created, report.failed), (1, 1));
    /// assert_eq!(report.problems[0].line, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn import<'s>(
        &self,
        format: ImportFormat,
        file: impl AsyncRead + Send + Unpin + 's,
    ) -> Import<'s> {
        Import::new(self, format, reader::pieces_of(file))
    }

    /// Imports rows from a stream of pieces, such as the body of a request. As
    /// [`import`](Self::import) in all else.
    pub fn import_stream<'s, B: AsRef<[u8]> + 's>(
        &self,
        format: ImportFormat,
        pieces: impl Stream<Item = io::Result<B>> + Send + 's,
    ) -> Import<'s> {
        let pieces = pieces.map(|piece| piece.map(|piece| piece.as_ref().to_vec()));
        Import::new(self, format, Box::pin(pieces))
    }
}

impl<'s> Import<'s> {
    fn new(register: &Register, format: ImportFormat, pieces: Pieces<'s>) -> Self {
        Self {
            actor: register.actor(),
            register: register.clone(),
            format,
            pieces,
            on_error: OnError::Stop,
            separator: b',',
            matched_by: None,
            is_dry: false,
        }
    }

    /// What becomes of the import when a row fails; [`OnError::Stop`] by default.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Matches rows by this column or member, which is written as their external reference: a row that
    /// has it is patched, and created where there is none. The column may be `external_ref` itself; any
    /// other must be a field, and is written to that field as well.
    pub fn match_by(mut self, column: impl Into<String>) -> Self {
        self.matched_by = Some(column.into());
        self
    }

    /// What stands between the fields of a CSV, an ASCII character; a comma by default.
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// Writes nothing, but does all else in one transaction, uniqueness and references included, and
    /// reports every row that would fail, whatever [`on_error`](Self::on_error) says.
    pub fn dry_run(mut self) -> Self {
        self.is_dry = true;
        self
    }

    /// Notes this user in the history of the rows.
    pub fn acting_as(mut self, user: Uuid) -> Self {
        self.actor = Some(user);
        self
    }

    async fn run(self) -> Result<ImportReport, DataError> {
        let register = self.register.clone();
        register.require_stored("import rows")?;
        if !self.separator.is_ascii() || matches!(self.separator, b'"' | b'\n' | b'\r') {
            return Err(DataError::invalid(
                "separator",
                "it must be an ASCII character other than a quote and the ends of lines",
            ));
        }
        let span = tracing::debug_span!("import", register = register.name());
        tracing::Instrument::instrument(self.run_on(&register), span).await
    }

    async fn run_on(self, register: &Register) -> Result<ImportReport, DataError> {
        let mut records = Records::new(self.format, self.separator, self.pieces);
        let mut tally = Tally::new(self.is_dry);
        let matched_by = self.matched_by.as_deref();
        let columns = match self.format {
            ImportFormat::Csv => {
                let header = records.next_record().await;
                let header = header.map_err(|failure| read_failure(failure, 0))?;
                Columns::of_header(register.loaded(), header, matched_by)?
            }
            ImportFormat::Json => Columns::of_members(register.loaded(), matched_by)?,
        };
        tally.ignore(columns.ignored());
        let run = Run {
            register,
            columns,
            on_error: if self.is_dry {
                OnError::Skip
            } else {
                self.on_error
            },
            is_whole: self.is_dry || self.on_error == OnError::Stop,
            is_matched: self.matched_by.is_some(),
            actor: self.actor,
        };
        run.write_all(&mut records, &mut tally).await?;
        Ok(tally.into_report())
    }
}

impl<'s> IntoFuture for Import<'s> {
    type Output = Result<ImportReport, DataError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 's>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What stays the same from batch to batch.
struct Run<'r> {
    register: &'r Register,
    columns: Columns,
    on_error: OnError,
    /// All batches are one transaction.
    is_whole: bool,
    is_matched: bool,
    actor: Option<Uuid>,
}

impl Run<'_> {
    async fn write_all(
        &self,
        records: &mut Records<'_>,
        tally: &mut Tally,
    ) -> Result<(), DataError> {
        let first = self.next_batch(records).await;
        let mut batch = first.map_err(|failure| read_failure(failure, 0))?;
        let mut open = None;
        while !batch.is_empty() {
            let mut tx = match open.take() {
                Some(tx) => tx,
                None => self.begin().await?,
            };
            // The next batch is made ready while the server works on this one.
            let written = self.write_batch(&mut tx, batch, tally);
            let next = self.next_batch(records);
            let (written, next) = futures_util::future::join(written, next).await;
            if let Err(error) = written {
                // The import's own error is the one that matters.
                tx.rollback().await.ok();
                return Err(error);
            }
            if self.is_whole {
                open = Some(tx);
            } else {
                tx.commit().await?;
                tally.stand();
            }
            batch = match next {
                Ok(next) => next,
                Err(failure) => {
                    if let Some(tx) = open {
                        tx.rollback().await.ok();
                    }
                    return Err(read_failure(failure, tally.standing()));
                }
            };
        }
        match open {
            Some(tx) if tally.is_dry() => tx.rollback().await?,
            Some(tx) => tx.commit().await?,
            None => {}
        }
        Ok(())
    }

    async fn begin(&self) -> Result<Transaction, DataError> {
        let db = self.register.data().db();
        Ok(db.for_org(self.register.tenant()).begin().await?)
    }

    /// Reads the next batch, and does with it what can be done without the database. Gives way every few
    /// rows, so that the batch before goes on being written.
    async fn next_batch(&self, records: &mut Records<'_>) -> Result<Batch, ReadFailure> {
        let records = records.next_batch().await?;
        let ids = RowId::generate_many(OffsetDateTime::now_utc(), records.len());
        let (definition, types) = (self.register.loaded(), self.register.data().types());
        let mut batch = Batch::default();
        for (index, (record, id)) in records.into_iter().zip(ids).enumerate() {
            if index.is_multiple_of(TURN_ROWS) {
                tokio::task::yield_now().await;
            }
            match self.columns.prepare(definition, types, record, id) {
                Ok(row) => batch.rows.push(row),
                Err(refused) => batch.refused.push(refused),
            }
        }
        // Which of the rows that are matched are there already, only the database knows.
        if !self.is_matched {
            let new = new_rows(&batch.rows);
            batch.prepared = rows::batch::prepare(self.register, self.actor, &new).await;
        }
        Ok(batch)
    }

    async fn write_batch(
        &self,
        tx: &mut Transaction,
        batch: Batch,
        tally: &mut Tally,
    ) -> Result<(), DataError> {
        let mut kept = Vec::new();
        tally.rows += batch.len() as u64;
        for refused in batch.refused {
            self.refuse(refused, tally, &mut kept)?;
        }
        self.write_rows(tx, batch.rows, batch.prepared, tally, &mut kept)
            .await?;
        // Some were refused when they were read, others when they were written.
        kept.sort_by_key(quarantine::Kept::line);
        quarantine::keep(tx, self.register, tally.import_id(), kept).await
    }
}

/// For the fuzz targets alone: reads the bytes as CSV and as JSON, in pieces of so many bytes (at least
/// one), to their end or to where no record can be found any more; the line of each record, and whether it
/// could be read. Line 0 stands for a file that is broken.
#[doc(hidden)]
pub fn read_file_of_any_kind(bytes: &[u8], piece_bytes: usize) -> Vec<(u64, bool)> {
    let mut told = Vec::new();
    for format in [ImportFormat::Csv, ImportFormat::Json] {
        let pieces = bytes
            .chunks(piece_bytes.max(1))
            .map(|piece| Ok(piece.to_vec()));
        let pieces = Box::pin(futures_util::stream::iter(pieces));
        let mut records = Records::new(format, b',', pieces);
        // Nothing is waited for: all pieces are there.
        while let Some(read) = futures_util::FutureExt::now_or_never(records.next_record()) {
            match read {
                Ok(Some(record)) => told.push((record.line, record.content.is_ok())),
                Ok(None) => break,
                Err(_) => {
                    told.push((0, false));
                    break;
                }
            }
        }
    }
    told
}

fn read_failure(failure: ReadFailure, written: u64) -> DataError {
    DataError::Import(match failure {
        ReadFailure::Io(source) => ImportError::Read {
            written,
            source: source.into(),
        },
        ReadFailure::Broken(problem) => ImportError::Broken { written, problem },
    })
}
