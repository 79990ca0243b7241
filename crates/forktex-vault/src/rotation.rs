// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Changes the key of a live column, or seals a plain one: online, in batches, to be interrupted and
//! gone on with at any time, and proved complete.

mod checkpoint;
mod error;
mod plaintext;
mod report;
mod seal;
pub(crate) mod statement;
mod sweep;
mod target;
mod work;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use forktex_db::{Db, Identifier};

pub use error::RotationError;
pub use plaintext::seal_plaintext;
pub use report::{BadRow, BadRowKind, RotationReport, SealReport};

use crate::context::Context;
use crate::key::{Key, KeyId};
use crate::schema::DEFAULT_SCHEMA;
use crate::scheme::Scheme;
use crate::vault::Vault;
use checkpoint::Identity;
use sweep::{Pace, Sweep};
use target::{Facts, Names, split_table};
use work::{Place, Task, Work};

/// The rows of a batch, unless another number is asked for.
const BATCH_ROWS: u32 = 1_000;

/// The most rows of a batch.
const BATCH_ROWS_MAX: u32 = 10_000;

/// The most passes of a run, unless another number is asked for.
const PASSES_MAX: u32 = 20;

/// What a [`Rotation`] finds in its column: sealed values.
#[derive(Clone, Copy, Debug)]
pub enum Tokens {}

/// What a [`Rotation`] finds in its column: plain values.
#[derive(Clone, Copy, Debug)]
pub enum Plaintext {}

/// Re-encrypts a column of a table, given as `schema.table`, while it is in use.
///
/// The order of a change of keys: give every process a vault that can read under the new key; then
/// one that seals under it; then rotate; then [`seal`](Rotation::seal) the column. [`migrate`](crate::migrate)
/// must have laid the tables that keep the checkpoints.
///
/// # Examples
/// ```no_run
/// use forktex_vault::{Key, RotationError, rotate_blobs};
///
/// # async fn example(db: forktex_db::Db, old: Key, new: Key) -> Result<(), RotationError> {
/// let report = rotate_blobs(&db, "app.credential", "payload")
///     .from(&old)
///     .to(&new)
///     .org_column("org_id")
///     .progress(|so_far| println!("{so_far}"))
///     .run()
///     .await?;
/// println!("{report}");
/// for bad in &report.bad_rows {
///     println!("row {} does not open: {}", bad.row_id, bad.kind);
/// }
/// # Ok(())
/// # }
/// ```
pub fn rotate_blobs(db: &Db, table: impl Into<String>, column: impl Into<String>) -> Rotation {
    Rotation::new(db, table.into(), column.into())
}

/// A change of a column that is about to run. Made by [`rotate_blobs`] or [`seal_plaintext`].
///
/// The table needs one id column, NOT NULL and unique by an index of its own; rows are read in the
/// order of that index. Values stand in `BYTEA`, `TEXT` or `VARCHAR`, and NULLs are left alone.
///
/// **Nothing is lost.** Values are read without a lock, opened and sealed without one, and written only
/// where the row still holds what was read; a row that changed meanwhile is visited again. Each batch is
/// one short transaction together with the checkpoint, so that a run killed at any instant is taken up
/// there by the next call with the same keys. Triggers of the table fire as for any update.
///
/// **It is complete** when a whole pass over the table has found nothing left to do; passes are made
/// until then. A row that cannot be opened is noted in the table `quarantine` (its id, and the kind of
/// the failure, never its value) and left as it is; each later run tries it again.
///
/// It holds three connections of the pool, and in memory at most three batches, of which one is read,
/// one sealed and one written: each has up to [`batch_rows`](Self::batch_rows) rows and ends after 8 MiB
/// of values. Where a batch finds nothing to do, the next is looked at on the server alone, and is longer.
/// The time at which a value was sealed is kept, so that [`BoundVault::age_max`](crate::BoundVault::age_max)
/// means the same before and after.
#[must_use = "a rotation does nothing until `run`, `seal` or another verb is called"]
pub struct Rotation<K = Tokens> {
    db: Db,
    table: String,
    column: String,
    source: Option<String>,
    to: Option<Key>,
    from: Vec<Key>,
    /// In place of `to` and `from`.
    vault: Option<Vault>,
    scheme: Scheme,
    reads_fernet: bool,
    binding: Binding,
    base: Option<Context>,
    id_column: String,
    org_column: Option<String>,
    pace: Pace,
    schema: String,
    is_dry_run: bool,
    nulls_plain: bool,
    finds: PhantomData<fn() -> K>,
}

/// Which place values are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    /// Before and after: to their rows.
    Row,
    /// Before: to their rows or to none. After: to their rows.
    FromNowhere,
    /// Before and after: to none.
    Nowhere,
}

impl<K> Rotation<K> {
    fn new(db: &Db, table: String, column: String) -> Self {
        Self {
            db: db.clone(),
            table,
            column,
            source: None,
            to: None,
            from: Vec::new(),
            vault: None,
            scheme: Scheme::V2,
            reads_fernet: false,
            binding: Binding::Row,
            base: None,
            id_column: "id".to_owned(),
            org_column: None,
            pace: Pace {
                batch_rows: BATCH_ROWS,
                pause: Duration::ZERO,
                passes_max: PASSES_MAX,
                progress: None,
            },
            schema: DEFAULT_SCHEMA.to_owned(),
            is_dry_run: false,
            nulls_plain: false,
            finds: PhantomData,
        }
    }

    /// The key to seal under.
    pub fn to(mut self, key: &Key) -> Self {
        self.to = Some(key.clone());
        self
    }

    /// A key that values may be sealed under. Call it for each.
    pub fn from(mut self, key: &Key) -> Self {
        self.from.push(key.clone());
        self
    }

    /// The opening keys and the sealing key of a vault, in place of `from` and `to`.
    pub(crate) fn keys_of(mut self, vault: &Vault) -> Self {
        self.vault = Some(vault.clone());
        self
    }

    /// The scheme to seal by. Default: [`Scheme::V2`].
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// The column that names a row; default `id`. Its type may be any whose order an index keeps. Values
    /// are bound to its text, as `id::text` gives it; for a UUID, a number or a text that is what
    /// `Display` gives.
    pub fn id_column(mut self, column: impl Into<String>) -> Self {
        self.id_column = column.into();
        self
    }

    /// The column that names the organisation of a row, where values are bound to that too. In rows
    /// where it is NULL they are not.
    pub fn org_column(mut self, column: impl Into<String>) -> Self {
        self.org_column = Some(column.into());
        self
    }

    /// The place that values are bound to, but for the row and the organisation, which each row adds.
    /// Default: the table and the column under the names given here.
    pub fn context(mut self, base: Context) -> Self {
        self.base = Some(base);
        self
    }

    /// Values are bound to no place, neither before nor after.
    pub fn unbound(mut self) -> Self {
        self.binding = Binding::Nowhere;
        self
    }

    /// The most rows of a batch, from 1 to 10,000. Default 1,000. A batch also ends after 8 MiB of
    /// values.
    pub fn batch_rows(mut self, rows: u32) -> Self {
        self.pace.batch_rows = rows.clamp(1, BATCH_ROWS_MAX);
        self
    }

    /// Waits after each batch, to spare the server. Default: not at all. The batch after is read before
    /// the pause; a row that changes in it is visited again.
    pub fn pause_between_batches(mut self, pause: Duration) -> Self {
        self.pace.pause = pause;
        self
    }

    /// The most passes that one run makes before it ends without a proof. Default 20; zero counts as one.
    pub fn passes_max(mut self, passes: u32) -> Self {
        self.pace.passes_max = passes.max(1);
        self
    }

    /// The schema of the crate's own tables, if it is not `forktex_vault`.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// Writes nothing, neither values nor checkpoints: one pass, and a report of what would be done.
    pub fn dry_run(mut self) -> Self {
        self.is_dry_run = true;
        self
    }

    /// Called after each batch with the counts so far. It must not block.
    pub fn progress(mut self, listener: impl Fn(&RotationReport) + Send + Sync + 'static) -> Self {
        self.pace.progress = Some(Arc::new(listener));
        self
    }

    /// Runs passes until one finds nothing left to do, and reports what was done since the rotation was
    /// begun, interrupted runs included.
    ///
    /// A batch costs one read, and one transaction of one statement, which writes the values and the
    /// checkpoint; reading, sealing and writing overlap. A pass that only looks costs the checkpoints and
    /// reads of up to 32,000 rows each, without their values; of Fernet tokens it opens each, since only who
    /// has the key can tell.
    ///
    /// # Errors
    /// What was done before is kept, and the same call goes on from there.
    /// - [`RotationError::NoTargetKey`], [`RotationError::SameKeyId`] before anything is done;
    /// - [`RotationError::AlreadyRunning`] when another run is at the same column;
    /// - [`RotationError::SealedForOtherKey`] when the column was sealed for a key that is not the new one;
    /// - [`RotationError::Database`]: `Invalid` when the columns are not fit, `Missing` when there is no
    ///   such table or the crate's own tables were not laid, and what else the server reports.
    ///
    /// # Cancellation
    /// Safe at any point: the batch under way is rolled back, and the next run goes on there.
    ///
    /// # Examples
    /// ```no_run
    /// # use forktex_vault::{Key, RotationError, rotate_blobs};
    /// # async fn example(db: forktex_db::Db, old: Key, new: Key) -> Result<(), RotationError> {
    /// let planned = rotate_blobs(&db, "app.credential", "payload").from(&old).to(&new).dry_run();
    /// println!("{}", planned.run().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn run(self) -> Result<RotationReport, RotationError> {
        let prepared = self.prepare().await?;
        if self.is_dry_run {
            return prepared.sweep.dry_run().await;
        }
        prepared.sweep.run().await
    }

    fn names(&self) -> Result<Names, RotationError> {
        let (schema, relation) = split_table(&self.table)?;
        let optional = |name: &Option<String>| name.clone().map(Identifier::new).transpose();
        Ok(Names {
            given_table: self.table.clone(),
            schema,
            relation,
            column: Identifier::new(&*self.column)?,
            id: Identifier::new(&*self.id_column)?,
            org: optional(&self.org_column)?,
            source: optional(&self.source)?,
        })
    }

    /// The vault that opens, with all keys.
    fn opening(&self) -> Result<Vault, RotationError> {
        if let Some(vault) = &self.vault {
            return Ok(vault.clone());
        }
        let to = self.to.as_ref().ok_or_else(|| RotationError::NoTargetKey {
            table: self.table.clone(),
            column: self.column.clone(),
        })?;
        let vault = Vault::from_key(to);
        Ok(self.from.iter().fold(vault, Vault::with_previous))
    }

    /// Checks everything that can be checked before the first write.
    async fn prepare(&self) -> Result<Prepared, RotationError> {
        let names = self.names()?;
        let opening = self.opening()?;
        if let Some(id) = opening.ambiguous_key() {
            return Err(RotationError::SameKeyId { id });
        }
        let facts = Facts::read(&self.db, &names).await?;
        let to = opening.primary_key();
        seal::refuse_other_seals(&self.db, &names, &facts, to, &self.table).await?;
        let work = self.work(&names, &facts, opening, self.task());
        Ok(Prepared {
            sweep: self.sweep(&names, &facts, work)?,
            names,
            facts,
            to,
        })
    }

    fn task(&self) -> Task {
        if self.source.is_some() {
            return Task::SealPlain {
                nulls_plain: self.nulls_plain,
            };
        }
        Task::Reseal {
            from_unbound: self.binding == Binding::FromNowhere,
        }
    }

    fn work(&self, names: &Names, facts: &Facts, opening: Vault, task: Task) -> Work {
        let sealing = opening.without_previous().scheme(self.scheme);
        let opening = if self.reads_fernet || self.scheme == Scheme::Fernet {
            opening.reading_fernet()
        } else {
            opening
        };
        Work {
            task,
            opening,
            sealing,
            scheme: self.scheme,
            place: match self.binding {
                Binding::Nowhere => Place::Nowhere,
                _ => Place::Row(self.base.clone().unwrap_or_else(|| names.place())),
            },
            holds: facts.holds,
        }
    }

    fn sweep(&self, names: &Names, facts: &Facts, work: Work) -> Result<Sweep, RotationError> {
        let from_keys = work.opening.keys().skip(1);
        let mut from_keys: Vec<String> = from_keys.map(|key| key.id.to_string()).collect();
        from_keys.sort_unstable();
        let identity = Identity {
            table: self.table.clone(),
            column: self.column.clone(),
            kind: if self.source.is_some() {
                "seal_plaintext"
            } else {
                "rotate"
            },
            id_column: self.id_column.clone(),
            from_keys,
            to_key: work.opening.primary_key().to_string(),
            scheme: match self.scheme {
                Scheme::V2 => "v2",
                Scheme::Fernet => "fernet",
            },
        };
        let (schema, pace) = (&self.schema, self.pace.clone());
        Ok(Sweep::new(
            &self.db, schema, names, facts, identity, work, pace,
        )?)
    }
}

impl Rotation<Tokens> {
    /// Reads Fernet tokens as well, which seal to no place: one that an attacker has kept from before
    /// would be taken for the row's own. They are read in any case when the scheme is
    /// [`Scheme::Fernet`].
    pub fn reading_fernet(mut self) -> Self {
        self.reads_fernet = true;
        self
    }

    /// Values may be bound to no place so far, and are bound to their rows from now on.
    pub fn from_unbound(mut self) -> Self {
        self.binding = Binding::FromNowhere;
        self
    }
}

/// What a verb works with.
struct Prepared {
    sweep: Sweep,
    names: Names,
    facts: Facts,
    to: KeyId,
}

impl<K> fmt::Debug for Rotation<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation")
            .field("table", &self.table)
            .field("column", &self.column)
            .field("from", &self.from)
            .field("to", &self.to)
            .field("scheme", &self.scheme)
            .field("binding", &self.binding)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
