// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The show: two processes' worth of the service on one Redis, and somebody who guesses.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use forktex::cache::Cache;
use forktex_testkit::{Redis, RedisOptions};
use hyper::StatusCode;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Answer};
use crate::service;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Plays it on a throwaway Redis.
pub(crate) async fn run() -> Outcome {
    let redis = Redis::start(RedisOptions::new()).await?;
    let stop = CancellationToken::new();
    let one = serve(redis.url(), stop.clone()).await?;
    let other = serve(redis.url(), stop.clone()).await?;
    let played = play(one, other).await;
    stop.cancel();
    played?;
    say("rate_limit: ok")
}

/// Serves with connections of its own, until it is told to stop.
async fn serve(redis: &str, stop: CancellationToken) -> Outcome<SocketAddr> {
    let cache = Cache::connect(redis).await?;
    let router = service::router(cache.clone())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the service stopped");
        }
        cache.close().await;
    });
    Ok(address)
}

async fn play(one: SocketAddr, other: SocketAddr) -> Outcome {
    let login = async |address, account: &str, password: &str| {
        let body = json!({ "account": account, "password": password });
        client::ask(address, "/login", Some(body)).await
    };
    for (address, left) in [(one, 2), (other, 1)] {
        let guess = login(address, "ada", "12345").await?;
        is(&guess, StatusCode::UNAUTHORIZED, "a wrong password")?;
        let said = guess.body.get("attempts_left") == Some(&json!(left));
        check(said, "both processes count the same attempts")?;
    }
    let right = login(one, "ada", "ada's secret").await?;
    is(
        &right,
        StatusCode::OK,
        "the right password, at the third attempt",
    )?;

    for address in [one, other, one] {
        let guess = login(address, "ada", "12345").await?;
        is(&guess, StatusCode::UNAUTHORIZED, "the count has begun anew")?;
    }
    let late = login(other, "ada", "ada's secret").await?;
    is(
        &late,
        StatusCode::TOO_MANY_REQUESTS,
        "the fourth attempt, though right",
    )?;
    let wait: u64 = late.header("retry-after").parse()?;
    check((890..=900).contains(&wait), "it is told how long to wait")?;
    say(format_args!("ada waits for {wait} seconds"))?;

    // Seven requests have come from this address.
    for left in ["2", "1", "0"] {
        let bob = login(one, "bob", "bob's secret").await?;
        is(&bob, StatusCode::OK, "another account")?;
        check(
            bob.header("ratelimit-remaining") == left,
            "the address is told what is left",
        )?;
        say(format_args!("RateLimit: {}", bob.header("ratelimit")))?;
    }
    let refused = login(other, "bob", "bob's secret").await?;
    is(
        &refused,
        StatusCode::TOO_MANY_REQUESTS,
        "the eleventh request of an address",
    )?;
    check(
        refused.header("ratelimit-policy") == "\"login.address\";q=10;w=60",
        "the address is told the policy",
    )?;
    let health = client::ask(one, "/health", None).await?;
    is(
        &health,
        StatusCode::OK,
        "what is not behind the layer is not limited",
    )
}

fn is(answer: &Answer, status: StatusCode, what: &str) -> Outcome {
    check(answer.status == status, what)
}

fn check(holds: bool, what: &str) -> Outcome {
    if !holds {
        return Err(format!("this does not hold: {what}").into());
    }
    say(format_args!("- {what}"))
}

fn say(line: impl std::fmt::Display) -> Outcome {
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}
