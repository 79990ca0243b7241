// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Archives rows, and takes them out of the archive again.

use uuid::Uuid;

use super::{Archived, Repository};
use crate::error::DbError;
use crate::identifier::Quoted;
use crate::model::{Archivable, ColumnRole, Model};
use crate::statement::Statement;

impl<M: Model> Repository<'_, M> {
    /// The same rows, and the archived ones too.
    pub fn with_archived(mut self) -> Self
    where
        M: Archivable,
    {
        self.archived = Archived::Included;
        self
    }

    /// The archived rows alone.
    pub fn only_archived(mut self) -> Self
    where
        M: Archivable,
    {
        self.archived = Archived::Only;
        self
    }

    /// Archives a row: it is left out from now on, and its unique values are free for others. One
    /// round trip.
    ///
    /// # Errors
    /// [`DbError::NotFound`] when there is no such row, or it is archived already.
    pub async fn archive(&mut self, id: Uuid) -> Result<M, DbError>
    where
        M: Archivable,
    {
        self.move_row(id, "now()", Archived::Hidden).await
    }

    /// Takes a row out of the archive. One round trip.
    ///
    /// # Errors
    /// [`DbError::NotFound`] when there is no such row in the archive; [`DbError::AlreadyExists`] when
    /// a live row has its unique values by now.
    pub async fn restore(&mut self, id: Uuid) -> Result<M, DbError>
    where
        M: Archivable,
    {
        self.move_row(id, "NULL", Archived::Only).await
    }

    async fn move_row(&mut self, id: Uuid, to: &str, from: Archived) -> Result<M, DbError> {
        let archived_at = M::INFO.column_of(ColumnRole::ArchivedAt);
        let mut statement = Statement::new("UPDATE ");
        statement.put(M::INFO.quoted()).push(" SET ");
        statement.put(Quoted(archived_at.map_or("", |column| column.name)));
        statement.push(" = ").push(to);
        self.write_touched(", ", &mut statement);
        statement.push(" WHERE ");
        let seen = std::mem::replace(&mut self.archived, from);
        self.write_scope(&mut statement);
        self.archived = seen;
        Self::write_and_id(id, &mut statement);
        Self::write_returning(&mut statement);
        self.fetch_optional(statement)
            .await?
            .ok_or(DbError::NotFound)
    }
}
