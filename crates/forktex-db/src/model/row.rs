// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A row as a model reads it: by position, with sealed columns opened.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Text as AsText;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{ColumnRole, ModelInfo};
use crate::cipher::{CipherError, CipherErrorKind, ColumnCipher, Place};
use crate::error::DbError;
use crate::value::{ColumnType, Value};

/// A row that the database returned, with the columns of a model in their order.
pub struct Row<'a> {
    values: &'a PgRow,
    info: &'static ModelInfo,
    cipher: Option<&'a dyn ColumnCipher>,
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a row of {}", self.info.name)
    }
}

impl<'a> Row<'a> {
    pub(crate) fn new(
        values: &'a PgRow,
        info: &'static ModelInfo,
        cipher: Option<&'a dyn ColumnCipher>,
    ) -> Self {
        Self {
            values,
            info,
            cipher,
        }
    }

    /// The value of the column at this position.
    ///
    /// # Errors
    /// [`DbError::Unreadable`] names the column.
    pub fn get<T: ColumnType>(&self, position: usize) -> Result<T, DbError> {
        self.values
            .try_get(position)
            .map_err(|error| self.unreadable(position, error))
    }

    /// The value of a column that is stored as text.
    ///
    /// # Errors
    /// [`DbError::Unreadable`] names the column.
    pub fn text<T>(&self, position: usize) -> Result<T, DbError>
    where
        AsText<T>: ColumnType,
    {
        self.get::<AsText<T>>(position).map(AsText::into_inner)
    }

    /// The value of a column that is stored as text and may be NULL.
    ///
    /// # Errors
    /// [`DbError::Unreadable`] names the column.
    pub fn optional_text<T>(&self, position: usize) -> Result<Option<T>, DbError>
    where
        AsText<T>: ColumnType,
    {
        let text = self.get::<Option<AsText<T>>>(position)?;
        Ok(text.map(AsText::into_inner))
    }

    /// The value of a column that is stored as JSON; NULL reads as JSON's null.
    ///
    /// # Errors
    /// [`DbError::Unreadable`] names the column.
    pub fn json<T: DeserializeOwned>(&self, position: usize) -> Result<T, DbError> {
        let json: Option<serde_json::Value> = self.get(position)?;
        // The error of the parser may quote the value.
        serde_json::from_value(json.unwrap_or_default()).map_err(|_| DbError::Unreadable {
            column: Some(self.name(position).to_owned()),
        })
    }

    /// Opens the value of a sealed column; NULL reads as JSON's null.
    ///
    /// # Errors
    /// [`DbError::Sealed`] says why it does not open, [`DbError::Unreadable`] that it holds something
    /// else than a `T`.
    pub fn open<T: DeserializeOwned>(&self, position: usize) -> Result<T, DbError> {
        let column = self.name(position);
        let sealed: Option<Vec<u8>> = self.get(position)?;
        let json = match sealed {
            None => Zeroizing::new(b"null".to_vec()),
            Some(sealed) => {
                let place = Place::new(self.info.name, column)
                    .row(self.of_role(ColumnRole::Id)?.unwrap_or_default())
                    .org(self.of_role(ColumnRole::OrgId)?);
                let opened = cipher(self.cipher)
                    .and_then(|cipher| cipher.open(&place, &sealed))
                    .map_err(|cause| sealed_error(column, cause))?;
                Zeroizing::new(opened)
            }
        };
        serde_json::from_slice(&json).map_err(|_| DbError::Unreadable {
            column: Some(column.to_owned()),
        })
    }

    fn of_role(&self, role: ColumnRole) -> Result<Option<Uuid>, DbError> {
        let position = self.info.position_of(role);
        position.map(|position| self.get(position)).transpose()
    }

    fn name(&self, position: usize) -> &'static str {
        self.info
            .columns
            .get(position)
            .map_or("", |column| column.name)
    }

    /// Names the column in an error that knows its position alone.
    fn unreadable(&self, position: usize, error: sqlx::Error) -> DbError {
        match DbError::from(error) {
            DbError::Unreadable { .. } => DbError::Unreadable {
                column: Some(self.name(position).to_owned()),
            },
            other => other,
        }
    }
}

/// The cipher, or the error that there is none.
pub(crate) fn cipher(cipher: Option<&dyn ColumnCipher>) -> Result<&dyn ColumnCipher, CipherError> {
    cipher.ok_or_else(|| {
        CipherError::new(
            CipherErrorKind::Unavailable,
            "the database has no cipher; give it one with `DbOptions::cipher`",
        )
    })
}

pub(crate) fn sealed_error(column: &str, cause: CipherError) -> DbError {
    DbError::Sealed {
        column: column.to_owned(),
        cause,
    }
}

/// The bytes that a sealed column seals: the value as JSON, and NULL for JSON's null.
///
/// # Errors
/// [`DbError::Invalid`] when the value cannot be written as JSON.
pub fn plaintext<T: Serialize>(column: &str, value: &T) -> Result<Value, DbError> {
    match serde_json::to_vec(value) {
        Ok(json) if json == b"null" => Ok(Value::Null),
        Ok(json) => Ok(Value::Bytes(json)),
        Err(_) => Err(unserializable(column)),
    }
}

/// What a column that is stored as JSON holds: the value, and NULL for JSON's null.
///
/// # Errors
/// [`DbError::Invalid`] when the value cannot be written as JSON.
pub fn json<T: Serialize>(column: &str, value: &T) -> Result<Value, DbError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Null) => Ok(Value::Null),
        Ok(json) => Ok(Value::Json(json)),
        Err(_) => Err(unserializable(column)),
    }
}

fn unserializable(column: &str) -> DbError {
    DbError::Invalid {
        reason: "the value cannot be written as JSON".into(),
        constraint: None,
        column: Some(column.to_owned()),
        sqlstate: None,
    }
}

/// What a column that is stored as text holds.
pub fn text(value: &impl Display) -> Value {
    Value::Text(value.to_string())
}

/// What a column that is stored as text and may be NULL holds.
pub fn optional_text(value: &Option<impl Display>) -> Value {
    value.as_ref().map_or(Value::Null, text)
}
