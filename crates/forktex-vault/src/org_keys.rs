// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A key for each organisation, wrapped by the key of the service. Dropping one shreds all that it
//! sealed.

mod cache;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use forktex_db::sqlx::{self, Row as _, SqlStr};
use forktex_db::{CipherError, CipherErrorKind, ColumnCipher, Db, DbError, Place, Preparation};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::error::VaultError;
use crate::key::Key;
use crate::rotation::statement::in_schema;
use crate::rotation::{RotationError, RotationReport, rotate_blobs};
use crate::schema::DEFAULT_SCHEMA;
use crate::token::Token;
use crate::vault::Vault;
use cache::Cache;

/// How long a key is used without asking the database again, unless another time is asked for.
const EXPIRES_AFTER: Duration = Duration::from_mins(1);

/// How many organisations' keys are held in memory.
const CACHED_MAX: usize = 1_000;

/// The keys of organisations, in the table `org_key`. Cheap to clone; clones share what is cached.
///
/// Each organisation's key is made at its first use, and stored wrapped: sealed under the key-encryption
/// key, the primary key of the vault that is given to [`new`](Self::new). The keys of at most 1,000
/// organisations are held in memory, each for a minute unless
/// [`expires_after`](Self::expires_after) says otherwise; that is also how long another process may go
/// on after a [`shred`](Self::shred). A [`Vault`] that a caller keeps stays usable: ask anew for each
/// piece of work.
///
/// As a [`ColumnCipher`] it seals by the organisation of each place, and its key must have been fetched
/// by `prepare`. [`migrate`](crate::migrate) must have laid the table. Backups hold wrapped keys: shredding
/// is complete when those of before have expired.
///
/// # Examples
/// ```no_run
/// use forktex_vault::{OrgKeyError, OrgKeys, Vault};
/// # async fn example(db: forktex_db::Db, kek: Vault, org: uuid::Uuid) -> Result<(), OrgKeyError> {
/// let keys = OrgKeys::new(&db, kek);
/// let token = keys.vault(org).await?.context("app.credential", "payload", 7).encrypt("s3cret")?;
/// keys.shred(org).await?;
/// assert!(keys.vault(org).await.is_err());
/// # let _ = token;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OrgKeys {
    db: Db,
    kek: Vault,
    schema: String,
    cache: Arc<Cache>,
}

/// A key of an organisation that could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrgKeyError {
    /// The database refused, or is away.
    #[error("the keys of organisations cannot be reached: {0}")]
    Database(#[from] DbError),

    /// The key was shredded ([`VaultError::KeyShredded`]), or it does not open under the keys that wrap.
    #[error("the key of the organisation cannot be used: {0}")]
    Vault(#[from] VaultError),
}

impl OrgKeys {
    /// Keys that are wrapped under the primary key of this vault, and unwrapped by any of its keys.
    pub fn new(db: &Db, kek: Vault) -> Self {
        Self {
            db: db.clone(),
            kek,
            schema: DEFAULT_SCHEMA.to_owned(),
            cache: Arc::new(Cache::new(EXPIRES_AFTER, CACHED_MAX)),
        }
    }

    /// How long a key may be used without asking the database again: the longest that this process goes
    /// on after a shred in another. Default: a minute.
    #[must_use]
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.cache = Arc::new(Cache::new(time, CACHED_MAX));
        self
    }

    /// The schema of the crate's own tables, if it is not `forktex_vault`.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// The vault of an organisation. Its key is made where there is none yet; of several processes that
    /// make one at once, all get the same.
    ///
    /// Costs nothing while the key is cached; else one statement, and two more at the first use.
    ///
    /// # Errors
    /// - [`VaultError::KeyShredded`] in [`OrgKeyError::Vault`] when the key was shredded, and the errors
    ///   of opening a token when it does not unwrap;
    /// - [`OrgKeyError::Database`] when the database cannot be reached or lacks the table.
    ///
    /// # Cancellation
    /// Safe: a key may have been made, which the next call finds.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(keys: forktex_vault::OrgKeys, org: uuid::Uuid) -> Result<(), forktex_vault::OrgKeyError> {
    /// let vault = keys.vault(org).await?;
    /// # let _ = vault;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn vault(&self, org: Uuid) -> Result<Vault, OrgKeyError> {
        if let Some(vault) = self.cache.get(org) {
            return Ok(vault);
        }
        // Taken before the database is asked: what a shred has changed since then is not cached.
        let (asked_at, generation) = (Instant::now(), self.cache.generation());
        let key = match self.read(org).await? {
            Some(key) => key,
            None => self.create(org).await?,
        };
        let vault = Vault::from_key(&key);
        self.cache.put(org, vault.clone(), asked_at, generation);
        Ok(vault)
    }

    /// Destroys the key of an organisation: what it sealed cannot be opened any more, by anybody, and no
    /// new key is ever made for it. There is no way back. One statement.
    ///
    /// This process and its clones of the value stop at once, others within
    /// [`expires_after`](Self::expires_after).
    ///
    /// # Errors
    /// [`OrgKeyError::Database`] when the database cannot be reached or lacks the table.
    ///
    /// # Cancellation
    /// The key is gone or not; call it again.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(keys: forktex_vault::OrgKeys, org: uuid::Uuid) -> Result<(), forktex_vault::OrgKeyError> {
    /// keys.shred(org).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn shred(&self, org: Uuid) -> Result<(), OrgKeyError> {
        let statement = in_schema(include_str!("org_keys/sql/shred_key.sql"), &self.schema)?;
        let shredded = self.execute(statement, org, None).await;
        // Also after a failure: the statement may have taken effect.
        self.cache.remove(org);
        shredded
    }

    /// Wraps every key anew under the primary key of the vault given to [`new`](Self::new), after the
    /// key of the service has changed. It is a rotation, with all that
    /// [`rotate_blobs`](crate::rotate_blobs) promises; the keys themselves stay the same.
    ///
    /// # Errors
    /// Those of [`Rotation::run`](crate::Rotation::run).
    ///
    /// # Cancellation
    /// Safe at any point; the next call goes on there.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_vault::{Key, OrgKeys, RotationError, Vault};
    /// # async fn example(db: forktex_db::Db, old: Key, new: Key) -> Result<(), RotationError> {
    /// let keys = OrgKeys::new(&db, Vault::from_key(&new).with_previous(&old));
    /// println!("{}", keys.rewrap().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rewrap(&self) -> Result<RotationReport, RotationError> {
        rotate_blobs(&self.db, format!("{}.org_key", self.schema), "wrapped")
            .keys_of(&self.kek)
            .id_column("org_id")
            .context(base_place())
            .schema(&*self.schema)
            .run()
            .await
    }

    /// Reads and unwraps a key. None if there is none yet.
    async fn read(&self, org: Uuid) -> Result<Option<Key>, OrgKeyError> {
        let statement = in_schema(include_str!("org_keys/sql/read_key.sql"), &self.schema)?;
        let row = self
            .db
            .read_only()
            .transaction(async |tx| {
                let row = sqlx::query(statement.clone())
                    .bind(org)
                    .fetch_optional(tx.connection())
                    .await;
                row.map_err(DbError::from)
            })
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let wrapped: Option<Vec<u8>> = row.try_get("wrapped").map_err(DbError::from)?;
        let Some(wrapped) = wrapped else {
            return Err(VaultError::KeyShredded { org }.into());
        };
        let token = Token::from_bytes(&wrapped)?;
        let secret = self.kek.bound(place(org)).open(&token)?;
        let secret: [u8; 32] = (&**secret).try_into().map_err(|_| VaultError::InvalidKey {
            reason: "a key is 32 bytes long",
        })?;
        Ok(Some(Key::from_bytes(*Zeroizing::new(secret))))
    }

    /// Makes a key, and gives the one that is stored then.
    async fn create(&self, org: Uuid) -> Result<Key, OrgKeyError> {
        let key = Key::generate()?;
        let wrapped = self.kek.bound(place(org)).seal(key.as_bytes())?;
        let statement = in_schema(include_str!("org_keys/sql/create_key.sql"), &self.schema)?;
        self.execute(statement, org, Some(wrapped.to_bytes()))
            .await?;
        // Another process may have come first.
        let stored = self.read(org).await?;
        stored.ok_or(OrgKeyError::Database(DbError::NotFound))
    }

    async fn execute(
        &self,
        statement: SqlStr,
        org: Uuid,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), OrgKeyError> {
        self.db
            .transaction(async |tx| -> Result<(), DbError> {
                let mut query = sqlx::query(statement.clone()).bind(org);
                if let Some(wrapped) = &wrapped {
                    query = query.bind(wrapped);
                }
                query.execute(tx.connection()).await?;
                Ok(())
            })
            .await?;
        Ok(())
    }

    fn prepared(&self, place: &Place<'_>) -> Result<Vault, CipherError> {
        let org = place.org.ok_or_else(|| {
            CipherError::new(
                CipherErrorKind::Unavailable,
                "the row belongs to no organisation, so there is no key for it",
            )
        })?;
        self.cache.get(org).ok_or_else(|| {
            let message =
                format!("the key of organisation {org} is not at hand; call `prepare` first");
            CipherError::new(CipherErrorKind::Unavailable, message)
        })
    }
}

/// The name under which keys are wrapped is the same in a schema of another name.
fn base_place() -> Context {
    Context::new("forktex_vault.org_key", "wrapped")
}

fn place(org: Uuid) -> Context {
    base_place().row(org)
}

impl ColumnCipher for OrgKeys {
    fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        ColumnCipher::seal(&self.prepared(place)?, place, plaintext)
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        ColumnCipher::open(&self.prepared(place)?, place, sealed)
    }

    fn prepare(&self, org: Uuid) -> Preparation<'_> {
        Box::pin(async move {
            match self.vault(org).await {
                Ok(_) => Ok(()),
                Err(OrgKeyError::Vault(error)) => Err(error.into()),
                Err(error) => Err(CipherError::new(
                    CipherErrorKind::Unavailable,
                    error.to_string(),
                )),
            }
        })
    }
}

impl fmt::Debug for OrgKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrgKeys")
            .field("kek", &self.kek)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}
