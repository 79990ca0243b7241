// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Everything again through `PgBouncer` in transaction mode, where one is installed.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forktex_db::{Db, DbError, DbOptions, LockKey, Migration, Migrator, Transaction, sqlx};
use forktex_testkit::TestDatabase;
use sqlx::Executor;

use crate::setup::{Notes, eventually, insert};

/// A pooler with two server connections, which many clients must share.
struct PgBouncer {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl PgBouncer {
    /// Starts one in front of a database.
    async fn start(database: &TestDatabase) -> Self {
        let named = std::env::var_os("PGBOUNCER_BIN").map(PathBuf::from);
        let folders = [
            "/usr/sbin",
            "/usr/bin",
            "/usr/local/bin",
            "/opt/homebrew/bin",
        ];
        let program = named
            .into_iter()
            .chain(folders.map(PathBuf::from))
            .flat_map(|place| [place.join("pgbouncer"), place])
            .find(|program| program.is_file())
            .expect("PgBouncer is not installed; on Debian type: apt-get install -y pgbouncer");
        let mut url = url::Url::parse(database.owner_url()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = std::env::temp_dir().join(database.name());
        std::fs::create_dir_all(&folder).unwrap();
        let settings = folder.join("pgbouncer.ini");
        // It refuses to run as root.
        let account = if std::fs::metadata(&folder).unwrap().uid() == 0 {
            "user = postgres"
        } else {
            ""
        };
        write!(
            std::fs::File::create(&settings).unwrap(),
            "[databases]\n{name} = host={host} port={port} dbname={name} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listen}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n{account}\n",
            name = database.name(),
            host = url.host_str().unwrap(),
            port = url.port().unwrap(),
            user = url.username(),
            password = url.password().unwrap_or_default(),
            listen = port,
        )
        .unwrap();
        let process = Command::new(program)
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        let bouncer = Self {
            process,
            folder,
            url: url.into(),
        };
        eventually("the pooler listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
        bouncer
    }

    async fn connect(&self) -> Db {
        let options = DbOptions::new()
            .pooled_by_proxy()
            .statement_timeout(Duration::from_secs(9));
        Db::connect(&self.url, options).await.unwrap()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Many clients, few server connections, the same statement names on all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_share_server_connections_behind_a_pooler() {
    let notes = Notes::create().await;
    let bouncer = PgBouncer::start(&notes.database).await;
    let mut tasks = Vec::new();
    for client in 0..5_i64 {
        let db = bouncer.connect().await;
        for task in 0..4_i64 {
            let db = db.clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..10 {
                    let id = client * 1000 + task * 100 + round;
                    db.transaction(async |tx| write_and_read(tx, id).await)
                        .await?;
                }
                Ok::<_, DbError>(())
            }));
        }
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(notes.ids().await.len(), 200);
}

async fn write_and_read(tx: &mut Transaction, id: i64) -> Result<(), DbError> {
    let limit: String = sqlx::query_scalar("SELECT current_setting('statement_timeout')")
        .fetch_one(tx.connection())
        .await?;
    assert_eq!(limit, "9s");
    insert(tx.connection(), id).await?;
    let nested = tx
        .transaction(async |tx| -> Result<(), DbError> {
            insert(tx.connection(), id).await?;
            Ok(())
        })
        .await;
    assert!(
        matches!(nested, Err(DbError::AlreadyExists { .. })),
        "{nested:?}"
    );
    let read: i64 = sqlx::query_scalar("SELECT id FROM app.note WHERE id = $1")
        .bind(id)
        .fetch_one(tx.connection())
        .await?;
    assert_eq!(read, id);
    Ok(())
}

#[tokio::test]
async fn locks_and_migrations_work_behind_a_pooler() {
    let notes = Notes::create().await;
    let bouncer = PgBouncer::start(&notes.database).await;
    let db = bouncer.connect().await;
    let direct = notes.another(DbOptions::new()).await;
    let key = LockKey::new("shop.till");

    let mut lock = db.advisory_lock(&key).await.unwrap();
    assert!(direct.try_advisory_lock(&key).await.unwrap().is_none());
    assert!(db.try_advisory_lock(&key).await.unwrap().is_none());
    assert!(lock.is_held().await);
    lock.release().await.unwrap();
    let lock = db
        .try_advisory_lock(&key)
        .await
        .unwrap()
        .expect("the lock is free");
    drop(lock);
    eventually("a drop releases", async || {
        direct.try_advisory_lock(&key).await.unwrap().is_some()
    })
    .await;

    let migrations = [Migration::new(
        1,
        "orders",
        "CREATE TABLE shop.order (id bigint PRIMARY KEY);",
    )];
    let migrator = Migrator::new("shop", &migrations);
    assert_eq!(migrator.run(&db).await.unwrap().applied, [1]);
    assert!(migrator.run(&db).await.unwrap().applied.is_empty());
    direct
        .pool()
        .execute("SELECT FROM shop.order")
        .await
        .unwrap();
}
