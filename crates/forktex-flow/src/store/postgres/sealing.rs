// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Seals what runs hold on its way into the tables, and opens it on its way out. Nothing above the
//! store knows of it.
//!
//! Without a cipher values pass as they are. Whether a stored value is sealed is told by its form, so
//! that plain and sealed rows stand side by side: plain JSON is an object where sealed JSON is a
//! string, a sealed text begins with a mark that no plain one begins with, and a message, which may be
//! any JSON, says it in a column.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forktex_db::{CipherError, CipherErrorKind, ColumnCipher, DbError, Place};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::row::{json, unreadable};
use crate::identifier::InstanceId;
use crate::state::payload::SEALED_TEXT_MARK;

/// Where a value belongs. It opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Input(InstanceId),
    Failure(InstanceId),
    /// Why a run is to end as cancelled. It is moved as it is from the wish to the end, so it belongs to
    /// the run and not to the column.
    Reason(InstanceId),
    Entry {
        run: InstanceId,
        sequence: i64,
    },
    /// The database numbers messages when they are sealed already, so the name and the key stand in.
    Message {
        run: InstanceId,
        signal: &'a str,
        key: Option<&'a str>,
    },
    ScheduleError {
        workflow: &'a str,
    },
}

impl Cell<'_> {
    fn table(self) -> &'static str {
        match self {
            Self::Input(_) | Self::Failure(_) | Self::Reason(_) => "instance",
            Self::Entry { .. } => "journal",
            Self::Message { .. } => "inbox",
            Self::ScheduleError { .. } => "schedule",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Failure(_) => "failure",
            Self::Reason(_) => "cancel_reason",
            Self::Entry { .. } | Self::Message { .. } => "payload",
            Self::ScheduleError { .. } => "last_error",
        }
    }

    fn run(self) -> Option<InstanceId> {
        match self {
            Self::Input(run)
            | Self::Failure(run)
            | Self::Reason(run)
            | Self::Entry { run, .. }
            | Self::Message { run, .. } => Some(run),
            Self::ScheduleError { .. } => None,
        }
    }

    /// The column, followed by what tells the values of one run apart. No name of a signal or a workflow
    /// has a colon in it, so no two cells have the same text.
    fn bound_column(self) -> Cow<'static, str> {
        let column = self.column();
        match self {
            Self::Input(_) | Self::Failure(_) | Self::Reason(_) => Cow::Borrowed(column),
            Self::Entry { sequence, .. } => Cow::Owned(format!("{column}:{sequence}")),
            Self::Message {
                signal, key: None, ..
            } => Cow::Owned(format!("{column}:{signal}")),
            Self::Message {
                signal,
                key: Some(key),
                ..
            } => Cow::Owned(format!("{column}:{signal}:{key}")),
            Self::ScheduleError { workflow } => Cow::Owned(format!("{column}:{workflow}")),
        }
    }

    fn refused(self, cause: &CipherError) -> DbError {
        let whose = match (self, self.run()) {
            (Self::ScheduleError { workflow }, _) => format!("schedule of `{workflow}`"),
            (_, Some(run)) => format!("run {run}"),
            (_, None) => self.table().to_owned(),
        };
        DbError::Sealed {
            column: self.column().to_owned(),
            cause: CipherError::new(cause.kind(), format!("{whose}: {cause}")),
        }
    }
}

/// The cipher of a flow's payloads, if it has one.
#[derive(Clone, Default)]
pub(crate) struct Sealing(Option<Arc<Seal>>);

struct Seal {
    cipher: Arc<dyn ColumnCipher>,
    schema: String,
}

impl Sealing {
    pub(crate) fn by(cipher: Arc<dyn ColumnCipher>, schema: &str) -> Self {
        Self(Some(Arc::new(Seal {
            cipher,
            schema: schema.to_owned(),
        })))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A value as a column of JSON holds it.
    pub(crate) fn json(&self, cell: Cell<'_>, value: &impl Serialize) -> Result<String, DbError> {
        let Some(seal) = &self.0 else {
            return json(value);
        };
        let plain = Zeroizing::new(json(value)?);
        Ok(format!("\"{}\"", seal.seal(cell, plain.as_bytes())?))
    }

    /// Reads what [`json`](Self::json) made of a value that is an object when it is plain.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        cell: Cell<'_>,
        text: &str,
    ) -> Result<T, DbError> {
        if text.starts_with('"') {
            return self.read_sealed(cell, text);
        }
        serde_json::from_str(text).map_err(|_| unreadable(cell.column()))
    }

    /// Reads a JSON string that is known to be sealed.
    pub(crate) fn read_sealed<T: DeserializeOwned>(
        &self,
        cell: Cell<'_>,
        text: &str,
    ) -> Result<T, DbError> {
        let plain = self.open(cell, text.trim_matches('"'))?;
        serde_json::from_slice(&plain).map_err(|_| unreadable(cell.column()))
    }

    /// An input as its column holds it; not copied where it stays plain.
    pub(crate) fn input<'a>(
        &self,
        run: InstanceId,
        input: &'a Value,
    ) -> Result<Cow<'a, Value>, DbError> {
        let Some(seal) = &self.0 else {
            return Ok(Cow::Borrowed(input));
        };
        let plain = Zeroizing::new(json(input)?);
        let sealed = seal.seal(Cell::Input(run), plain.as_bytes())?;
        Ok(Cow::Owned(Value::String(sealed)))
    }

    /// Reads what [`input`](Self::input) made.
    pub(crate) fn open_input(&self, run: InstanceId, stored: Value) -> Result<Value, DbError> {
        match stored {
            Value::String(sealed) => self.read_sealed(Cell::Input(run), &sealed),
            plain => Ok(plain),
        }
    }

    /// A text as its column holds it. One that is sealed already stays as it is.
    pub(crate) fn text<'a>(&self, cell: Cell<'_>, text: &'a str) -> Result<Cow<'a, str>, DbError> {
        let Some(seal) = &self.0 else {
            return Ok(Cow::Borrowed(text));
        };
        if text.starts_with(SEALED_TEXT_MARK) {
            return Ok(Cow::Borrowed(text));
        }
        let sealed = seal.seal(cell, text.as_bytes())?;
        Ok(Cow::Owned(format!("{SEALED_TEXT_MARK}{sealed}")))
    }

    /// Reads what [`text`](Self::text) made.
    pub(crate) fn open_text(&self, cell: Cell<'_>, stored: String) -> Result<String, DbError> {
        let Some(sealed) = stored.strip_prefix(SEALED_TEXT_MARK) else {
            return Ok(stored);
        };
        let mut plain = self.open(cell, sealed)?;
        String::from_utf8(std::mem::take(&mut *plain)).map_err(|_| unreadable(cell.column()))
    }

    fn open(&self, cell: Cell<'_>, sealed: &str) -> Result<Zeroizing<Vec<u8>>, DbError> {
        let seal = self.0.as_ref().ok_or_else(|| {
            cell.refused(&CipherError::new(
                CipherErrorKind::Unavailable,
                "it is sealed, and this flow has no cipher; give it one with `payload_cipher`",
            ))
        })?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| {
            cell.refused(&CipherError::new(
                CipherErrorKind::Malformed,
                "it is not base64",
            ))
        })?;
        let opened = seal.place(cell, |place| seal.cipher.open(place, &sealed));
        opened
            .map(Zeroizing::new)
            .map_err(|cause| cell.refused(&cause))
    }
}

impl Seal {
    fn seal(&self, cell: Cell<'_>, plain: &[u8]) -> Result<String, DbError> {
        let sealed = self.place(cell, |place| self.cipher.seal(place, plain));
        sealed
            .map(|sealed| URL_SAFE_NO_PAD.encode(sealed))
            .map_err(|cause| cell.refused(&cause))
    }

    fn place<T>(&self, cell: Cell<'_>, act: impl FnOnce(&Place<'_>) -> T) -> T {
        let table = format!("{}.{}", self.schema, cell.table());
        let column = cell.bound_column();
        let mut place = Place::new(&table, &column);
        if let Some(run) = cell.run() {
            place = place.row(run.0);
        }
        act(&place)
    }
}

impl fmt::Debug for Sealing {
    /// Says whether there is a cipher, and nothing of it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sealing")
            .field("is_on", &self.is_on())
            .finish_non_exhaustive()
    }
}

/// Whether two values are equal as jsonb has it: numbers by their worth.
pub(crate) fn are_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| are_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| are_same(value, other)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests;
