// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Whose rows a transaction works on. A repository of an [`OrgScoped`](crate::OrgScoped) model comes
//! from here and from nowhere else, and carries its organisation into every statement.
//!
//! The organisation is told to the server too, in the setting `forktex.org_id`, which the policies of
//! [`row_security`] read. It lasts as long as the transaction, or the nested one that changed it.

mod row_security;

use std::fmt;

use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::cipher::ColumnCipher;
use crate::error::DbError;
use crate::model::{ColumnRole, Model, ModelInfo, SharedModel};
use crate::repository::Repository;
use crate::transaction::Transaction;

pub(crate) use row_security::{POLICY, row_security_of, unique_index};
pub use row_security::{create_table, row_security};

/// What the setting holds for work that spans organisations.
const EVERYONE: &str = "*";

/// Whose rows a statement may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Rows that belong to no organisation.
    Shared,
    /// Those of one organisation.
    Org(Uuid),
    /// Those of all organisations, for a stated reason.
    Everyone,
}

impl Scope {
    /// The scope for a model: one whose rows belong to no organisation is shared in any.
    fn of(self, info: &ModelInfo) -> Self {
        match info.column_of(ColumnRole::OrgId) {
            Some(_) => self,
            None => Self::Shared,
        }
    }

    /// The organisation, where there is one.
    pub(crate) fn org(self) -> Option<Uuid> {
        match self {
            Self::Org(org) => Some(org),
            Self::Shared | Self::Everyone => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared => Ok(()),
            Self::Org(org) => org.fmt(f),
            Self::Everyone => f.write_str(EVERYONE),
        }
    }
}

/// What the server was last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// This scope; [`Scope::Shared`] when nothing was said.
    Scope(Scope),
    /// A change is under way, or was dropped midway.
    Unknown,
}

/// The statement that tells the server. The scope is a UUID or a star, so that nothing in it could
/// end the literal; one plain text is one round trip, where a bound value would be prepared first.
///
/// It does what `set_config(.., true)` does, and returns no row: with that, a transaction of one
/// statement took 2 to 3 % longer.
pub(crate) fn set_scope(scope: Scope) -> String {
    format!("SET LOCAL forktex.org_id = '{scope}'")
}

pub(crate) fn log_unscoped(reason: &str) {
    tracing::warn!(
        reason,
        "a transaction works on the rows of all organisations"
    );
}

impl Transaction {
    /// The rows of one organisation: the way to the repositories of models whose rows belong to one.
    ///
    /// Every statement of such a repository names the organisation, and the server is told it as well,
    /// for the policies of [`row_security`]; that costs one round trip, and none when it was told
    /// already, as by [`Db::for_org`](crate::Db::for_org). Statements of your own on the connection run
    /// under the organisation that was named last.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the connection is lost; [`DbError::Sealed`] when the
    /// organisation's key cannot be had.
    ///
    /// # Cancellation
    /// The server may have been told or not; the next call tells it again.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_db::{Db, DbError, Model};
    /// use uuid::Uuid;
    ///
    /// #[derive(Model)]
    /// #[model(table = "app.invoice", org_scoped)]
    /// struct Invoice { id: Uuid, org_id: Uuid, number: String }
    ///
    /// # async fn example(db: Db, org: Uuid) -> Result<(), DbError> {
    /// db.transaction(async |tx| -> Result<(), DbError> {
    ///     let mut tx = tx.for_org(org).await?;
    ///     let mut invoices = tx.repository::<Invoice>();
    ///     invoices.create(NewInvoice { number: "2026-1".into() }).await?;
    ///     assert_eq!(invoices.count(Invoice::number().starts_with("2026")).await?, 1);
    ///     Ok(())
    /// })
    /// .await
    /// # }
    /// ```
    pub async fn for_org(&mut self, org: Uuid) -> Result<OrgTransaction<'_>, DbError> {
        self.tell(Scope::Org(org)).await?;
        if let Some(cipher) = self.db().cipher() {
            prepare(cipher, org).await?;
        }
        Ok(OrgTransaction { tx: self, org })
    }

    /// The rows of all organisations, for a reason that is logged as a warning with the place of the
    /// call: the way round for maintenance and reports.
    ///
    /// Costs one round trip, and none when the server was told already.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when the connection is lost.
    ///
    /// # Cancellation
    /// As for [`for_org`](Self::for_org).
    pub async fn unscoped(&mut self, reason: &str) -> Result<UnscopedTransaction<'_>, DbError> {
        log_unscoped(reason);
        self.tell(Scope::Everyone).await?;
        Ok(UnscopedTransaction { tx: self })
    }

    /// The repository of a model whose rows belong to no organisation.
    ///
    /// A model whose rows do belong to one has none here: name the organisation with
    /// [`for_org`](Self::for_org).
    ///
    /// ```compile_fail
    /// use forktex_db::{DbError, Model, Transaction};
    /// use uuid::Uuid;
    ///
    /// #[derive(Model)]
    /// #[model(table = "app.invoice", org_scoped)]
    /// struct Invoice { id: Uuid, org_id: Uuid, number: String }
    ///
    /// async fn forgets_the_tenant(tx: &mut Transaction) -> Result<Vec<Invoice>, DbError> {
    ///     tx.repository::<Invoice>().list(Invoice::number().eq("1")).await
    /// }
    /// ```
    pub fn repository<M: SharedModel>(&mut self) -> Repository<'_, M> {
        Repository::new(self, Scope::Shared)
    }

    async fn tell(&mut self, scope: Scope) -> Result<(), DbError> {
        if self.told == Told::Scope(scope) {
            return Ok(());
        }
        self.told = Told::Unknown;
        let statement = AssertSqlSafe(set_scope(scope));
        let told = self.connection().execute(statement).await;
        told.map_err(|error| self.db().error(error))?;
        self.told = Told::Scope(scope);
        Ok(())
    }
}

async fn prepare(cipher: &dyn ColumnCipher, org: Uuid) -> Result<(), DbError> {
    cipher.prepare(org).await.map_err(|cause| DbError::Sealed {
        column: "org_id".to_owned(),
        cause,
    })
}

/// A transaction on the rows of one organisation, made by [`Transaction::for_org`].
#[derive(Debug)]
pub struct OrgTransaction<'t> {
    tx: &'t mut Transaction,
    org: Uuid,
}

impl OrgTransaction<'_> {
    /// The organisation.
    pub fn org(&self) -> Uuid {
        self.org
    }

    /// The repository of a model. Where its rows belong to organisations, it reads and writes those of
    /// this one only.
    pub fn repository<M: Model>(&mut self) -> Repository<'_, M> {
        Repository::new(self.tx, Scope::Org(self.org).of(M::INFO))
    }

    /// The transaction itself, for statements of your own, hooks and nesting. Such statements name the
    /// organisation themselves; with row security, the server holds them to it.
    pub fn transaction(&mut self) -> &mut Transaction {
        self.tx
    }
}

/// A transaction on the rows of all organisations, made by [`Transaction::unscoped`].
#[derive(Debug)]
pub struct UnscopedTransaction<'t> {
    tx: &'t mut Transaction,
}

impl UnscopedTransaction<'_> {
    /// The repository of a model, on the rows of all organisations. It creates none, as nothing says
    /// whose they would be: `create` and `upsert` are [`DbError::Invalid`] on a model whose rows belong
    /// to organisations.
    pub fn repository<M: Model>(&mut self) -> Repository<'_, M> {
        Repository::new(self.tx, Scope::Everyone.of(M::INFO))
    }

    /// The transaction itself, for statements of your own, hooks and nesting.
    pub fn transaction(&mut self) -> &mut Transaction {
        self.tx
    }
}
