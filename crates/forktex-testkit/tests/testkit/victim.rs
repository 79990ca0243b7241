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
const POSTGRES_URL: &str = "FORKTEX_TEST_POSTGRES_URL";
const REDIS_URL: &str = "FORKTEX_TEST_REDIS_URL";

/// A running copy of this binary, and what it reported.
struct Victim {
    process: Child,
    /// Held open: the victim goes on writing to it.
    output: BufReader<ChildStdout>,
    report: String,
}

impl Victim {
    /// Starts the test `name` as a victim with these variables, and waits for its report.
    fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", name, "--nocapture"])
            .env(ROLE, "1")
            .env_remove(POSTGRES_URL)
            .env_remove(REDIS_URL)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
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
            report,
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
fn report_and_wait(report: &str) {
    println!("\nREPORT {report}");
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
    report_and_wait(&folders.join(" "));
}

#[test]
fn a_killed_process_leaves_no_server_and_no_folder() {
    let victim = Victim::start("victim::private_servers_as_victim", &[]);
    let folders: Vec<PathBuf> = victim.report.split(' ').map(PathBuf::from).collect();
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
    report_and_wait(database.name());
}

async fn a_running_server_is_left_as_it_was(url: &str) {
    const NAME: &str = "victim::a_database_on_a_running_server_as_victim";
    let variables = [(POSTGRES_URL, url)];
    let before = databases(url).await;
    let killed = Victim::start(NAME, &variables);
    let left = killed.report.clone();
    killed.kill();
    assert!(databases(url).await.contains(&left));

    let alive = Victim::start(NAME, &variables);
    assert!(
        !databases(url).await.contains(&left),
        "the next process did not sweep"
    );
    // A third one sweeps what is stale, and not what the second still uses.
    Victim::start(NAME, &variables).finish();
    assert!(databases(url).await.contains(&alive.report));
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

/// The guardian is killed as well, so that only the next process can clean up.
#[tokio::test]
async fn a_server_whose_guardian_died_too_is_removed_by_the_next_process() {
    let parent = std::env::temp_dir().join(format!("forktex-orphans-{}", std::process::id()));
    std::fs::create_dir(&parent).unwrap();
    let parent = parent.canonicalize().unwrap();
    let variables = [("TMPDIR", parent.to_str().unwrap())];
    let victim = Victim::start("victim::private_servers_as_victim", &variables);
    let folders: Vec<PathBuf> = victim.report.split(' ').map(PathBuf::from).collect();
    for process in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let command = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        if command.starts_with("sh\0-c\0") && command.contains(parent.to_str().unwrap()) {
            let pid = process.file_name();
            assert!(
                Command::new("kill")
                    .arg("-KILL")
                    .arg(pid)
                    .status()
                    .unwrap()
                    .success()
            );
        }
    }
    victim.kill();
    assert!(!processes_in(&folders[2]).is_empty());
    assert!(folders.iter().all(|folder| folder.exists()));

    let next = Postgres::start(PostgresOptions::new().in_folder(&parent))
        .await
        .unwrap();
    for folder in folders {
        wait_until("the removal of a folder", || !folder.exists());
        assert_eq!(processes_in(&folder), Vec::<PathBuf>::new());
    }
    assert!(next.socket_folder().exists());
    drop(next);
    let left = || std::fs::read_dir(&parent).unwrap().count();
    // The cache alone.
    wait_until("the removal of the last folder", || left() == 1);
    std::fs::remove_dir_all(&parent).unwrap();
}

/// What an error says to the person who reads it, on one line.
async fn complaints() -> String {
    let postgres = TestDatabase::create().await.unwrap_err().to_string();
    #[cfg(feature = "redis")]
    let redis = forktex_testkit::TestRedis::create()
        .await
        .unwrap_err()
        .to_string();
    #[cfg(not(feature = "redis"))]
    let redis = "not asked for";
    format!("{postgres}; {redis}").replace('\n', " ")
}

#[tokio::test]
async fn a_machine_without_servers_as_victim() {
    if is_victim() {
        report_and_wait(&complaints().await);
    }
}

#[test]
fn a_missing_server_is_named_with_its_remedy() {
    const NAME: &str = "victim::a_machine_without_servers_as_victim";
    let variables = [("PATH", "/nonexistent"), ("PG_BIN", "/nonexistent")];
    let victim = Victim::start(NAME, &variables);
    assert!(
        victim.report.contains("PG_BIN is set to /nonexistent"),
        "{}",
        victim.report
    );
    #[cfg(feature = "redis")]
    assert!(victim.report.contains("install"), "{}", victim.report);
    victim.finish();

    let variables = [(POSTGRES_URL, "postgres:secret"), (REDIS_URL, "localhost")];
    let victim = Victim::start(NAME, &variables);
    assert!(victim.report.contains(POSTGRES_URL), "{}", victim.report);
    assert!(!victim.report.contains("secret"), "{}", victim.report);
    #[cfg(feature = "redis")]
    assert!(victim.report.contains(REDIS_URL), "{}", victim.report);
    victim.finish();
}

#[cfg(all(feature = "redis", feature = "s3"))]
#[tokio::test]
async fn redis_and_s3_as_victim() {
    use forktex_testkit::{Redis, RedisOptions, S3, TestRedis};

    if !is_victim() {
        return;
    }
    let s3 = S3::start().await.unwrap();
    s3.create_bucket("pictures").await.unwrap();
    let frozen = Redis::start(RedisOptions::new()).await.unwrap();
    frozen.pause().await.unwrap();
    let _running = Redis::start(RedisOptions::new().durable()).await.unwrap();
    report_and_wait(TestRedis::create().await.unwrap().url());
}

#[cfg(all(feature = "redis", feature = "s3"))]
#[test]
fn a_killed_process_leaves_no_redis_and_no_bucket() {
    let parent = std::env::temp_dir().join(format!("forktex-victim-{}", std::process::id()));
    std::fs::create_dir(&parent).unwrap();
    let parent = parent.canonicalize().unwrap();
    let variables = [
        ("TMPDIR", parent.to_str().unwrap()),
        (REDIS_URL, "redis://cache.test"),
    ];
    let victim = Victim::start("victim::redis_and_s3_as_victim", &variables);
    assert_eq!(victim.report, "redis://cache.test");
    let left = || std::fs::read_dir(&parent).unwrap().count();
    assert_eq!(left(), 3);
    assert_eq!(processes_in(&parent).len(), 2);
    victim.kill();
    wait_until("the removal of the folders", || left() == 0);
    assert_eq!(processes_in(&parent), Vec::<PathBuf>::new());
    std::fs::remove_dir(&parent).unwrap();
}
