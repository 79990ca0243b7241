// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Redis servers and a cluster, spoken to by hand.

use std::net::SocketAddr;
use std::time::Duration;

use forktex_testkit::{Redis, RedisCluster, RedisOptions, TestRedis, TestkitError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends an inline command, and gives what comes back at once.
async fn ask(stream: &mut TcpStream, command: &str) -> String {
    stream
        .write_all(format!("{command}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn ask_once(address: SocketAddr, command: &str) -> String {
    ask(&mut TcpStream::connect(address).await.unwrap(), command).await
}

#[tokio::test]
async fn a_killed_server_forgets_unless_it_is_durable() {
    let plain = Redis::start(RedisOptions::new()).await.unwrap();
    let durable = Redis::start(RedisOptions::new().durable()).await.unwrap();
    for (redis, after) in [(plain, "$-1\r\n"), (durable, "$1\r\nv\r\n")] {
        assert_eq!(ask_once(redis.address(), "SET k v").await, "+OK\r\n");
        redis.kill().await.unwrap();
        TcpStream::connect(redis.address()).await.unwrap_err();
        let again = redis.kill().await.unwrap_err();
        assert!(
            matches!(again, TestkitError::NotRunning { server: "Redis" }),
            "{again}"
        );
        redis.restart().await.unwrap();
        assert_eq!(ask_once(redis.address(), "GET k").await, after);
        redis.restart().await.unwrap();
        assert_eq!(ask_once(redis.address(), "GET k").await, after);
    }
}

#[tokio::test]
async fn a_paused_server_answers_when_it_is_resumed() {
    let redis = Redis::start(RedisOptions::new()).await.unwrap();
    let mut stream = TcpStream::connect(redis.address()).await.unwrap();
    redis.pause().await.unwrap();
    let answer = ask(&mut stream, "PING");
    tokio::pin!(answer);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), &mut answer)
            .await
            .is_err()
    );
    redis.resume().await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(10), answer)
        .await
        .unwrap();
    assert_eq!(answer, "+PONG\r\n");
}

#[tokio::test]
async fn a_setting_reaches_the_server_and_a_wrong_one_shows_the_log() {
    let redis = Redis::start(RedisOptions::new().setting("maxmemory", "12mb"))
        .await
        .unwrap();
    let answer = ask_once(redis.address(), "CONFIG GET maxmemory").await;
    assert!(answer.contains("12582912"), "{answer}");

    let error = Redis::start(RedisOptions::new().setting("nonsense", "1"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            TestkitError::StartFailed {
                server: "Redis",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("nonsense"), "{error}");
}

#[tokio::test]
async fn each_test_has_a_namespace_of_its_own() {
    let (one, other) = (
        TestRedis::create().await.unwrap(),
        TestRedis::create().await.unwrap(),
    );
    assert_ne!(one.namespace(), other.namespace());
}

#[tokio::test]
async fn a_cluster_is_whole_and_whole_again_after_a_node_was_killed() {
    let cluster = RedisCluster::start().await.unwrap();
    let mut set = 0;
    let mut moved = 0;
    for key in 0..30 {
        let answer = ask_once(cluster.nodes()[0].address(), &format!("SET {key} v")).await;
        match answer.split(' ').next().unwrap() {
            "+OK\r\n" => set += 1,
            "-MOVED" => {
                let target = answer.trim_end().rsplit(' ').next().unwrap();
                assert!(cluster.url().contains(target), "{answer}");
                let answer = ask_once(target.parse().unwrap(), &format!("SET {key} v")).await;
                assert_eq!(answer, "+OK\r\n");
                moved += 1;
            }
            _ => panic!("{answer}"),
        }
    }
    assert!(set > 0 && moved > 0, "{set} set, {moved} moved");

    let node = &cluster.nodes()[1];
    node.kill().await.unwrap();
    node.restart().await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let info = ask_once(node.address(), "CLUSTER INFO").await;
        if info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{info}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
