// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Seals the values of encrypted columns on their way into a statement.

use uuid::Uuid;
use zeroize::Zeroizing;

use super::Repository;
use crate::cipher::Place;
use crate::error::DbError;
use crate::model::{ColumnInfo, Model, cipher, sealed_error};
use crate::value::Value;

impl<M: Model> Repository<'_, M> {
    /// The value as the column stores it: sealed for its place where the column is, else as it is.
    pub(super) fn stored(
        &self,
        column: &ColumnInfo,
        value: Value,
        row: Uuid,
        org: Option<Uuid>,
    ) -> Result<Value, DbError> {
        let plaintext = match value {
            Value::Bytes(plaintext) if column.is_sealed => Zeroizing::new(plaintext),
            value => return Ok(value),
        };
        let place = Place::new(M::INFO.name, column.name).row(row).org(org);
        let sealed = cipher(self.tx.db().cipher())
            .and_then(|cipher| cipher.seal(&place, &plaintext))
            .map_err(|cause| sealed_error(column.name, cause))?;
        Ok(Value::Bytes(sealed))
    }
}
