// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Batches of records out of bytes that arrive in pieces.
//!
//! At most one piece, one unfinished record and one batch are held at a time, whatever the size of the
//! file. It knows no register.

use std::io;
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt as _};
use serde_json::{Map, Value as Json};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::csv::{CsvField, CsvReader};
use super::json::{JsonReader, JsonRecord};
use super::record::{RecordProblem, StructureProblem};
use super::{IMPORT_BATCH_BYTES_MAX, IMPORT_BATCH_ROWS, ImportFormat};

/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Records that are cut before other futures have their turn, so that a batch goes on being written
/// while the next is read.
const TURN_RECORDS: usize = 256;

/// The bytes of a file, in pieces.
pub(crate) type Pieces<'s> = Pin<Box<dyn Stream<Item = io::Result<Vec<u8>>> + Send + 's>>;

/// What a record says, before a register has seen it.
#[derive(Debug)]
pub(crate) enum Content {
    Csv(Vec<CsvField>),
    Json(Map<String, Json>),
}

/// One record with its place.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) line: u64,
    pub(crate) content: Result<Content, RecordProblem>,
    pub(crate) raw: Vec<u8>,
}

/// Why there are no more records though the file has not ended.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    Io(io::Error),
    Broken(StructureProblem),
}

enum Cutter {
    Csv(CsvReader),
    Json(JsonReader),
}

/// The records of a file, read as they are asked for.
pub(crate) struct Records<'s> {
    pieces: Pieces<'s>,
    piece: Vec<u8>,
    position: usize,
    cutter: Cutter,
    has_ended: bool,
}

/// Makes pieces of a reader.
pub(crate) fn pieces_of<'s>(reader: impl AsyncRead + Send + Unpin + 's) -> Pieces<'s> {
    Box::pin(stream::try_unfold(reader, |mut reader| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let length = reader.read(&mut piece).await?;
        piece.truncate(length);
        Ok::<_, io::Error>((length > 0).then_some((piece, reader)))
    }))
}

impl<'s> Records<'s> {
    pub(crate) fn new(format: ImportFormat, separator: u8, pieces: Pieces<'s>) -> Self {
        let cutter = match format {
            ImportFormat::Csv => Cutter::Csv(CsvReader::new(separator)),
            ImportFormat::Json => Cutter::Json(JsonReader::new()),
        };
        Self {
            pieces,
            piece: Vec::new(),
            position: 0,
            cutter,
            has_ended: false,
        }
    }

    /// The next records; none at the end of the file.
    pub(crate) async fn next_batch(&mut self) -> Result<Vec<Record>, ReadFailure> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < IMPORT_BATCH_ROWS && bytes < IMPORT_BATCH_BYTES_MAX {
            let Some(record) = self.next_record().await? else {
                break;
            };
            bytes += record.raw.len();
            batch.push(record);
            if batch.len().is_multiple_of(TURN_RECORDS) {
                tokio::task::yield_now().await;
            }
        }
        Ok(batch)
    }

    /// The next record. Nothing is lost if the future is dropped.
    pub(crate) async fn next_record(&mut self) -> Result<Option<Record>, ReadFailure> {
        loop {
            while let Some(byte) = self.piece.get(self.position) {
                self.position += 1;
                if let Some(record) = self.cutter.push(*byte).map_err(ReadFailure::Broken)? {
                    return Ok(Some(record));
                }
            }
            if self.has_ended {
                return Ok(None);
            }
            let Some(piece) = self.pieces.next().await else {
                self.has_ended = true;
                return self.cutter.finish().map_err(ReadFailure::Broken);
            };
            self.piece = piece.map_err(ReadFailure::Io)?;
            self.position = 0;
        }
    }
}

impl Cutter {
    fn push(&mut self, byte: u8) -> Result<Option<Record>, StructureProblem> {
        match self {
            Self::Csv(reader) => Ok(reader.push(byte)?.map(Record::from)),
            Self::Json(reader) => Ok(reader.push(byte)?.map(Record::from)),
        }
    }

    fn finish(&mut self) -> Result<Option<Record>, StructureProblem> {
        match self {
            Self::Csv(reader) => Ok(reader.finish()?.map(Record::from)),
            Self::Json(reader) => reader.finish().map(|()| None),
        }
    }
}

impl From<super::csv::CsvRecord> for Record {
    fn from(record: super::csv::CsvRecord) -> Self {
        Self {
            line: record.line,
            content: record.fields.map(Content::Csv),
            raw: record.raw,
        }
    }
}

impl From<JsonRecord> for Record {
    fn from(record: JsonRecord) -> Self {
        let content = match std::str::from_utf8(&record.raw) {
            Ok(text) => serde_json::from_str(text)
                .map(Content::Json)
                // The parser's own text may quote the file.
                .map_err(|error| RecordProblem::Json {
                    line: error.line(),
                    column: error.column(),
                }),
            Err(_) => Err(RecordProblem::Encoding),
        };
        Self {
            line: record.line,
            content,
            raw: record.raw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(format: ImportFormat, pieces: Vec<&'static [u8]>) -> Vec<(u64, bool)> {
        let pieces = stream::iter(pieces).map(|piece| Ok(piece.to_vec()));
        let mut records = Records::new(format, b',', Box::pin(pieces));
        let batch = records.next_batch().await.unwrap();
        batch
            .into_iter()
            .map(|record| (record.line, record.content.is_ok()))
            .collect()
    }

    #[tokio::test]
    async fn records_do_not_depend_on_how_the_bytes_arrive() {
        let whole = lines(ImportFormat::Csv, vec![b"a,\"b\nc\"\r\nd,e"]).await;
        let pieces: Vec<&'static [u8]> = vec![b"a,\"", b"b\nc", b"\"", b"\r", b"", b"\nd,e"];
        assert_eq!(whole, lines(ImportFormat::Csv, pieces).await);
        assert_eq!(whole, [(1, true), (3, true)]);
    }

    #[tokio::test]
    async fn a_record_that_is_no_json_does_not_hide_the_next() {
        let told = lines(ImportFormat::Json, vec![b"{\"a\":1}\n{a}\n{\"b\":2}"]).await;
        assert_eq!(told, [(1, true), (2, false), (3, true)]);
    }

    #[tokio::test]
    async fn a_reader_is_read_to_its_end() {
        let text = "a\n".repeat(PIECE_BYTES);
        let mut records = Records::new(ImportFormat::Csv, b',', pieces_of(text.as_bytes()));
        let mut count = 0;
        loop {
            let batch = records.next_batch().await.unwrap();
            if batch.is_empty() {
                break;
            }
            count += batch.len();
        }
        assert_eq!(count, PIECE_BYTES);
    }
}
