// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A thousand cold calls over four processes, which are this test binary started again.

use std::process::Stdio;
use std::time::Duration;

use forktex_cache::fred::interfaces::KeysInterface as _;
use forktex_cache::{Cache, cached};
use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::setup::{DEADLINE, eventually, options, redis};

const URL: &str = "FORKTEX_CACHE_HERD_URL";
const PROCESSES: usize = 4;
const CALLS: usize = 250;

/// The bodies that ran, and those of them that are to go on for ever.
const LOADS: &str = "herd:loads";
const HANGS: &str = "herd:hangs";

/// Counted in Redis itself, past the cache. The first bodies hang, as many as are to.
#[cached(
    ttl = "5m",
    namespace = "herd",
    single_flight = "cluster",
    lease = "1s"
)]
async fn heavy(cache: &Cache, id: u32) -> u64 {
    let redis = cache.client().unwrap();
    let load: u64 = redis.incr(LOADS).await.unwrap();
    let hangs: Option<u64> = redis.get(HANGS).await.unwrap();
    if load <= hangs.unwrap_or_default() {
        println!("\nHANGING");
        std::future::pending::<()>().await;
    }
    // Longer than a few pauses of those that wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    load + u64::from(id)
}

/// Not a test where its variable is not set: it is one of the herd.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_the_herd() {
    let Ok(url) = std::env::var(URL) else {
        return;
    };
    let cache = Cache::connect_with(&url, options()).await.unwrap();
    println!("\nREADY");
    // It ends with its parent, whose end of the pipe closes.
    let mut line = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut line)
        .await
        .unwrap();
    let calls = (0..CALLS).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { heavy(&cache, 0).await })
    });
    let answers = join_all(calls).await;
    let answers: Vec<u64> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), CALLS);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    println!("\nANSWER {}", answers[0]);
}

struct Member {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Member {
    fn start(url: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "herd::one_of_the_herd", "--nocapture"])
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        Self {
            process,
            lines: BufReader::new(output).lines(),
        }
    }

    /// What comes after the word on its line. The harness writes lines of its own.
    async fn says(&mut self, word: &str) -> String {
        let said = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.expect("a member of the herd ended early");
                if let Some(rest) = line.strip_prefix(word) {
                    return rest.trim().to_owned();
                }
            }
        };
        tokio::time::timeout(DEADLINE, said).await.expect(word)
    }

    async fn go(&mut self) {
        let input = self.process.stdin.as_mut().unwrap();
        input.write_all(b"go\n").await.unwrap();
        input.flush().await.unwrap();
    }
}

async fn herd(url: &str) -> Vec<Member> {
    let mut herd: Vec<Member> = (0..PROCESSES).map(|_| Member::start(url)).collect();
    for member in &mut herd {
        member.says("READY").await;
    }
    herd
}

async fn loads(cache: &Cache) -> u64 {
    let loads: Option<u64> = cache.client().unwrap().get(LOADS).await.unwrap();
    loads.unwrap_or_default()
}

#[tokio::test]
async fn a_thousand_cold_calls_over_four_processes_load_once() {
    let (redis, cache) = redis(options()).await;
    let mut herd = herd(redis.url()).await;
    for member in &mut herd {
        member.go().await;
    }
    for member in &mut herd {
        assert_eq!(member.says("ANSWER").await, "1");
    }
    assert_eq!(loads(&cache).await, 1);
}

#[tokio::test]
async fn with_the_holder_of_the_lease_killed_they_load_twice() {
    let (redis, cache) = redis(options()).await;
    let _: () = cache
        .client()
        .unwrap()
        .set(HANGS, 1, None, None, false)
        .await
        .unwrap();
    let mut herd = herd(redis.url()).await;
    let mut holder = herd.remove(0);
    holder.go().await;
    holder.says("HANGING").await;
    for member in &mut herd {
        member.go().await;
    }
    // The lease is renewed for as long as its holder lives, though nothing comes of it.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(loads(&cache).await, 1);
    holder.process.kill().await.unwrap();
    for member in &mut herd {
        assert_eq!(member.says("ANSWER").await, "2");
    }
    assert_eq!(loads(&cache).await, 2);
    eventually("the value is kept", async || heavy(&cache, 0).await == 2).await;
}
