// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Builds a [`Flow`]: options, resources, and the check of everything that is declared.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use forktex_db::sqlx::PgPool;
use forktex_db::{ColumnCipher, Db, DbOptions};
use tokio_util::sync::CancellationToken;

use super::background::{Background, Notices};
use super::starter::Starter;
use super::{Database, Flow, Inner};
use crate::catalog::Catalog;
use crate::definition::Workflow;
use crate::definition::retention::Retention;
use crate::definition::template::{TemplateFault, Templates};
use crate::error::{BuildError, BuildFault};
use crate::handle::{Access, Endings};
use crate::registry::{Registration, Registry, linked_and};
use crate::step::Resources;
use crate::store::memory::{MemoryReceiver, MemoryStore};
use crate::store::notice::{Notice, NoticeReceiver};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::notify::PostgresReceiver;
use crate::store::postgres::statement::DEFAULT_SCHEMA;
use crate::store::{Backend, Election, Store};
use crate::worker::fault::Faults;
use crate::worker::{WorkerHandle, WorkerOptions};

/// Where the database of a flow is: a URL, or a `Db` or pool of the host, which stays the host's.
#[derive(Debug)]
pub enum DatabaseSource {
    /// A URL; the flow opens a pool of its own and closes it with [`Flow::close`].
    Url(String),
    /// The host's.
    Borrowed(Db),
}

impl From<&str> for DatabaseSource {
    fn from(url: &str) -> Self {
        Self::Url(url.to_owned())
    }
}

impl From<String> for DatabaseSource {
    fn from(url: String) -> Self {
        Self::Url(url)
    }
}

impl From<&String> for DatabaseSource {
    fn from(url: &String) -> Self {
        Self::Url(url.clone())
    }
}

impl From<Db> for DatabaseSource {
    fn from(db: Db) -> Self {
        Self::Borrowed(db)
    }
}

impl From<PgPool> for DatabaseSource {
    fn from(pool: PgPool) -> Self {
        Self::Borrowed(Db::from_pool(pool))
    }
}

/// Builds a [`Flow`]; made by [`Flow::builder`].
pub struct FlowBuilder {
    database: DatabaseSource,
    db_options: DbOptions,
    schema: String,
    resources: Resources,
    registrations: Vec<Registration>,
    worker: WorkerOptions,
    election: Election,
    retention: Retention,
    listens: bool,
    payload_cipher: Option<Arc<dyn ColumnCipher>>,
    #[cfg(feature = "planted-faults")]
    planted: Option<crate::planted::PlantedFault>,
}

impl FlowBuilder {
    pub(super) fn new(database: DatabaseSource) -> Self {
        Self {
            database,
            db_options: DbOptions::new().application_name("forktex-flow"),
            schema: DEFAULT_SCHEMA.to_owned(),
            resources: Resources::default(),
            registrations: Vec::new(),
            worker: WorkerOptions {
                name: format!("pid-{}", std::process::id()),
                slots: 256,
                lease: Duration::from_secs(30),
                drain_timeout: Duration::from_secs(30),
            },
            election: Election::default(),
            retention: Retention::new(),
            listens: true,
            payload_cipher: None,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }

    /// Options of the pool that the flow opens; of no use with a borrowed one.
    pub fn db_options(mut self, options: DbOptions) -> Self {
        self.db_options = options;
        self
    }

    /// Gives the steps a resource, in place of an earlier one of the same type.
    pub fn resource<T: Send + Sync + 'static>(self, value: T) -> Self {
        self.shared_resource(Arc::new(value))
    }

    /// Gives the steps a resource that is shared already, or is a trait object.
    pub fn shared_resource<T: ?Sized + Send + Sync + 'static>(mut self, value: Arc<T>) -> Self {
        self.resources.insert(value);
        self
    }

    /// Registers a workflow by hand: for one whose crate the linker would drop, or that no attribute
    /// registers. One that is registered already is left alone.
    pub fn register<W: Workflow>(mut self) -> Self {
        self.registrations
            .push(Registration::of::<W>(std::any::type_name::<W>()));
        self
    }

    /// The schema of the tables; `forktex_flow` by default.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// How this process is called in the table of workers; `pid-<number>` by default.
    pub fn worker_name(mut self, name: impl Into<String>) -> Self {
        self.worker.name = name.into();
        self
    }

    /// How many runs this process runs at the same time, from 1 to 100,000; 256 by default.
    pub fn slots(mut self, slots: u32) -> Self {
        self.worker.slots = slots;
        self
    }

    /// After how long without a heartbeat the runs of this process are taken over by others, from 1 s
    /// to 1 h; 30 s by default. A process that freezes or loses the database for longer loses its runs.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.worker.lease = lease;
        self
    }

    /// How long [`Flow::stop_driver`] lets running steps finish; 30 s by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.worker.drain_timeout = timeout;
        self
    }

    /// How the leader is elected; by an advisory lock by default.
    pub fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    /// How long runs are kept after their end; for ever by default.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Does without LISTEN, which a pooler in transaction mode does not offer: what others start is
    /// then found by looking once a second.
    pub fn without_notifications(mut self) -> Self {
        self.listens = false;
        self
    }

    #[doc = include_str!("../docs/payload_cipher.md")]
    pub fn payload_cipher(mut self, cipher: impl ColumnCipher + 'static) -> Self {
        self.payload_cipher = Some(Arc::new(cipher));
        self
    }

    /// Makes the store wrong on purpose.
    #[cfg(feature = "planted-faults")]
    #[doc(hidden)]
    pub fn planted(mut self, fault: crate::planted::PlantedFault) -> Self {
        self.planted = Some(fault);
        self
    }

    /// Checks every declaration and connects. Writes nothing.
    ///
    /// # Errors
    /// [`BuildError::Faults`] with all that is wrong with the declarations and what resources they
    /// miss; [`BuildError::Option`]; [`BuildError::Database`].
    ///
    /// # Cancellation
    /// A future that is dropped leaves nothing behind.
    pub async fn build(self) -> Result<Flow, BuildError> {
        self.check_options()?;
        let declared = self.declared()?;
        let (db, is_owned) = match &self.database {
            DatabaseSource::Url(url) => (Db::connect(url, self.db_options.clone()).await?, true),
            DatabaseSource::Borrowed(db) => (db.clone(), false),
        };
        let mut store = PostgresStore::new(db.clone(), &self.schema)?;
        if let Some(cipher) = &self.payload_cipher {
            store = store.sealed_by(Arc::clone(cipher));
        }
        let store = Arc::new(store);
        let receiver = self.listens.then(|| -> Box<dyn NoticeReceiver> {
            Box::new(PostgresReceiver::new(PostgresStore::clone(&store)))
        });
        let database = Some(Database { db, is_owned });
        #[cfg(any(feature = "failpoints", feature = "planted-faults"))]
        let store = {
            let watched = crate::store::watched::WatchedStore::new(store);
            #[cfg(feature = "planted-faults")]
            let watched = watched.planted(self.planted, &self.schema);
            Arc::new(watched)
        };
        Ok(self.assemble(declared, store, receiver, database, None))
    }

    /// As [`build`](Self::build), on tables in memory.
    pub(super) fn build_in_memory(
        self,
        store: &MemoryStore,
        faults: Arc<Faults>,
    ) -> Result<Flow, BuildError> {
        self.check_options()?;
        let declared = self.declared()?;
        let receiver: Box<dyn NoticeReceiver> = Box::new(MemoryReceiver::new(store));
        let backend = Arc::new(store.clone());
        let flow = self.assemble(declared, backend, Some(receiver), None, Some(faults));
        let store = store.clone();
        flow.0
            .background
            .run(async move { store.move_clock().await });
        Ok(flow)
    }

    /// As [`build_in_memory`](Self::build_in_memory), at the end of a line.
    #[cfg(feature = "simulation")]
    pub(super) fn build_on_line(
        self,
        store: &MemoryStore,
        line: Arc<dyn crate::simulation::Line>,
    ) -> Result<Flow, BuildError> {
        self.check_options()?;
        let declared = self.declared()?;
        let receiver: Box<dyn NoticeReceiver> = Box::new(MemoryReceiver::new(store));
        let backend = Arc::new(crate::store::line::StoreOnLine::new(store.clone(), line));
        Ok(self.assemble(declared, backend, Some(receiver), None, None))
    }

    /// All that is declared in the linked crates, checked.
    fn declared(&self) -> Result<(Registry, Templates), BuildError> {
        let registry = Registry::build(&linked_and(&self.registrations), &self.resources)
            .map_err(BuildError::Faults)?;
        let (templates, faults) = Templates::linked();
        if !faults.is_empty() {
            let faults = faults.into_iter().map(|fault| match fault {
                TemplateFault::Name(error) => BuildFault::TemplateName(error),
                TemplateFault::Duplicate { name, modules } => {
                    BuildFault::DuplicateTemplate { name, modules }
                }
            });
            return Err(BuildError::Faults(faults.collect()));
        }
        Ok((registry, templates))
    }

    fn assemble(
        self,
        (registry, templates): (Registry, Templates),
        store: Arc<dyn Backend>,
        receiver: Option<Box<dyn NoticeReceiver>>,
        database: Option<Database>,
        faults: Option<Arc<Faults>>,
    ) -> Flow {
        let catalog = Arc::new(Catalog::new(templates, self.resources.clone()));
        let registry = Arc::new(registry);
        let stop = CancellationToken::new();
        let (notices, lanes) = Notices::channel();
        let local: Arc<RwLock<Option<WorkerHandle>>> = Arc::default();
        let access = Arc::new(Access {
            store: Arc::clone(&store) as Arc<dyn Store>,
            registry: Arc::clone(&registry),
            seals_payloads: self.payload_cipher.is_some(),
            endings: Endings::new(),
            cancel_notice: {
                let notices = notices.clone();
                Box::new(move |instance| notices.send(Notice::Cancelling(instance)))
            },
            ready_notice: {
                let (notices, local) = (notices.clone(), Arc::clone(&local));
                Box::new(move || {
                    if let Some(worker) = &*local.read().unwrap_or_else(PoisonError::into_inner) {
                        worker.wake();
                    }
                    notices.send(Notice::Ready);
                })
            },
            message_notice: {
                let (notices, local) = (notices.clone(), Arc::clone(&local));
                Box::new(move || {
                    if let Some(worker) = &*local.read().unwrap_or_else(PoisonError::into_inner) {
                        worker.deliver();
                    }
                    notices.send(Notice::Message);
                })
            },
        });
        let (starter, _tasks) = Starter::start(Arc::clone(&store) as Arc<dyn Store>, &stop);
        let background = Background::start(
            stop,
            Arc::clone(&local),
            notices,
            lanes,
            &(Arc::clone(&store) as _),
            receiver,
            Arc::clone(&access),
        );
        Flow(Arc::new(Inner {
            database,
            schema: self.schema,
            store,
            registry,
            catalog,
            resources: self.resources,
            worker: self.worker,
            election: self.election,
            retention: self.retention,
            definitions: std::sync::Mutex::default(),
            running: tokio::sync::Mutex::new(None),
            local,
            access,
            starter,
            background,
            faults,
        }))
    }

    fn check_options(&self) -> Result<(), BuildError> {
        let second = Duration::from_secs(1);
        let fault = |option, rule| Err(BuildError::Option { option, rule });
        if !(1..=100_000).contains(&self.worker.slots) {
            return fault("slots", "must be from 1 to 100,000");
        }
        if self.worker.lease < second || self.worker.lease > 3_600 * second {
            return fault("lease", "must be from 1 s to 1 h");
        }
        if self.worker.name.is_empty()
            || self.worker.name.len() > 200
            || self.worker.name.contains('\0')
        {
            return fault("worker_name", "must have 1 to 200 bytes and no NUL");
        }
        Ok(())
    }
}
