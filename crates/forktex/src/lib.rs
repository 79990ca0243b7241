// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The substrate for services on Postgres, Redis and S3: one facade over the ForkTex crates.
//!
//! Each feature adds the module of its name; `full` adds all. A service that uses one module alone can
//! depend on that module's crate instead: the paths below the module are the same. This crate adds
//! nothing of its own but the [`prelude`], and macros that expand to its paths.
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | `db` | `db` | pool, transactions, models, repositories, migrations, locks |
//! | `flow` (with `db`) | `flow` | durable workflows |
//! | `cache` | `cache` | caching and rate limits |
//! | `vault` | `vault` | encryption at rest |
//! | `storage` | `storage` | object storage and signed URLs, on S3, GCS, Azure or a folder |
//! | `queue` | `queue` | background jobs in process, with `db` on Postgres, with `cache` on Redis |
//! | `data` (with `db`) | `data` | registers that tenants define: typed rows, one query over stored, bound and virtual ones, a router |

#[cfg(feature = "data")]
pub use forktex_data as data;
#[cfg(feature = "storage")]
pub use forktex_storage as storage;
#[cfg(feature = "vault")]
pub use forktex_vault as vault;

#[cfg(feature = "cache")]
pub mod cache;
#[cfg(feature = "db")]
pub mod db;
#[cfg(feature = "flow")]
pub mod flow;
#[cfg(feature = "queue")]
pub mod queue;

/// What a service author imports, of all features that are on.
pub mod prelude {
    #[cfg(feature = "cache")]
    pub use crate::cache::{Cache, CacheError, CacheOptions, Namespace, cached};
    #[cfg(feature = "data")]
    pub use crate::data::{
        Data, DataError, Draft, FieldDefinition, Register, RegisterDefinition, RowQuery, field,
    };
    #[cfg(feature = "db")]
    pub use crate::db::{Db, DbError, DbOptions, Model};
    #[cfg(feature = "flow")]
    pub use crate::flow::prelude::*;
    #[cfg(feature = "queue")]
    pub use crate::queue::{Job, JobContext, JobError, JobResult, Queue, Worker, job_handler};
    #[cfg(feature = "storage")]
    pub use crate::storage::{OrgStorage, PublicAccess, Storage, StorageConfig, StorageError};
}
