// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is left of a process that was killed: nothing. The victim is this test binary itself,
//! started again with a variable that says what it is to do before it dies.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use forktex_testkit::{Postgres, PostgresOptions, TestDatabase};
use sqlx::{Connection as _, PgConnection};

const ROLE: &str = "FORKTEX_TESTKIT_VICTIM";
const URL: &str = "FORKTEX_TEST_POSTGRES_URL";

/// A running copy of this binary, and what it reported.
struct Victim {
    process: Child,
    /// Held open: the victim goes on writing to it.
    output: BufReader<ChildStdout>,
    report: Vec<String>,
}

impl Victim {
    /// Starts the test `name` as a victim, and waits for its report.
    fn start(name: &str, postgres_url: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", name, "--nocapture"])
            .env(ROLE, "1")
            .env_remove(URL)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(url) = postgres_url {
            command.env(URL, url);
        }
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let report = output
            .by_ref()
            .lines()
            .map(Result::unwrap)
            .find_map(|line| {
                line.split_once("REPORT ")
                    .map(|(_, report)| report.to_owned())
            })
            .expect("the victim ended without a report");
        Self {
            process,
            output,
            report: report.split(' ').map(str::to_owned).collect(),
        }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Lets it end as a test ends.
    fn finish(mut self) {
        drop(self.process.stdin.take());
        std::io::copy(&mut self.output, &mut std::io::sink()).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

fn is_victim() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Tells the other side what we have, and waits to be killed or told to finish.
fn report_and_wait(parts: &[String]) {
    println!("\nREPORT {}", parts.join(" "));
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// The processes whose working folder is in `folder`; zombies have none.
fn processes_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| {
            process
                .join("cwd")
                .read_link()
                .is_ok_and(|cwd| cwd.starts_with(folder))
        })
        .collect()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

async fn databases(url: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar("SELECT datname::text FROM pg_catalog.pg_database")
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

/// Several servers, so that one's guardian could hold the pipe of another's; one is frozen, and one
/// crashed; and a child that outlives us and must not hold any pipe.
#[tokio::test]
async fn private_servers_as_victim() {
    if !is_victim() {
        return;
    }
    let crashed = Postgres::start(PostgresOptions::new()).await.unwrap();
    let frozen = Postgres::start(PostgresOptions::new()).await.unwrap();
    let running = Postgres::start(PostgresOptions::new().durable())
        .await
        .unwrap();
    let _database = TestDatabase::create().await.unwrap();
    let _session = PgConnection::connect(&running.url("postgres"))
        .await
        .unwrap();
    let _frozen_session = PgConnection::connect(&frozen.url("postgres"))
        .await
        .unwrap();
    let mut child = Command::new("sh");
    child
        .args(["-c", "sleep 30 &"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    crashed.kill().await.unwrap();
    frozen.pause().await.unwrap();
    let folders =
        [&crashed, &frozen, &running].map(|server| server.socket_folder().display().to_string());
    report_and_wait(&folders);
}

#[test]
fn a_killed_process_leaves_no_server_and_no_folder() {
    let victim = Victim::start("victim::private_servers_as_victim", None);
    let folders: Vec<PathBuf> = victim.report.iter().map(PathBuf::from).collect();
    let counts: Vec<usize> = folders
        .iter()
        .map(|folder| processes_in(folder).len())
        .collect();
    assert_eq!(counts[0], 0, "the crashed server");
    assert!(counts[1] > 1 && counts[2] > 1, "{counts:?}");
    victim.kill();
    for folder in folders {
        wait_until("the removal of a folder", || !folder.exists());
        assert_eq!(processes_in(&folder), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn a_dropped_server_is_gone_while_we_live_on() {
    let postgres = Postgres::start(PostgresOptions::new()).await.unwrap();
    let folder = postgres.socket_folder().to_path_buf();
    assert!(!processes_in(&folder).is_empty());
    drop(postgres);
    wait_until("the removal of the folder", || !folder.exists());
    assert_eq!(processes_in(&folder), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_database_on_a_running_server_as_victim() {
    if !is_victim() {
        return;
    }
    let database = TestDatabase::create().await.unwrap();
    let mut owner = PgConnection::connect(database.owner_url()).await.unwrap();
    sqlx::raw_sql("CREATE SCHEMA s; CREATE TABLE s.t (id int)")
        .execute(&mut owner)
        .await
        .unwrap();
    let mut application = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql("INSERT INTO s.t VALUES (1)")
        .execute(&mut application)
        .await
        .unwrap();
    sqlx::raw_sql("CREATE TABLE public.t (id int)")
        .execute(&mut application)
        .await
        .unwrap_err();
    report_and_wait(&[database.name().to_owned()]);
}

async fn a_running_server_is_left_as_it_was(url: &str) {
    const NAME: &str = "victim::a_database_on_a_running_server_as_victim";
    let before = databases(url).await;
    let killed = Victim::start(NAME, Some(url));
    let left = killed.report[0].clone();
    killed.kill();
    assert!(databases(url).await.contains(&left));

    let alive = Victim::start(NAME, Some(url));
    assert!(
        !databases(url).await.contains(&left),
        "the next process did not sweep"
    );
    // A third one sweeps what is stale, and not what the second still uses.
    Victim::start(NAME, Some(url)).finish();
    assert!(databases(url).await.contains(&alive.report[0]));
    alive.finish();
    assert_eq!(databases(url).await, before);
}

#[tokio::test]
async fn a_running_server_is_left_as_it_was_by_a_superuser() {
    let postgres = Postgres::start(PostgresOptions::new()).await.unwrap();
    a_running_server_is_left_as_it_was(&postgres.url("postgres")).await;
}

#[tokio::test]
async fn a_running_server_is_left_as_it_was_by_a_lesser_administrator() {
    let postgres = Postgres::start(PostgresOptions::new()).await.unwrap();
    let mut superuser = PgConnection::connect(&postgres.url("postgres"))
        .await
        .unwrap();
    sqlx::raw_sql("CREATE ROLE lesser LOGIN CREATEDB CREATEROLE PASSWORD 'p%q/r'")
        .execute(&mut superuser)
        .await
        .unwrap();
    let url = format!(
        "postgres://lesser:p%25q%2Fr@{}/postgres",
        postgres.address()
    );
    a_running_server_is_left_as_it_was(&url).await;
}
