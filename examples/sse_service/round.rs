// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One round against the service, as a browser and an impatient client would make it.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, Events, Message};

type Outcome<T> = Result<T, Box<dyn Error>>;

pub(crate) async fn play(address: SocketAddr) -> Outcome<()> {
    let client = Client(address);
    let deploy = is_deployed_once(&client).await?;
    is_followed(&client, &deploy).await?;
    is_refused(&client, &deploy).await?;
    is_cancelled(&client).await
}

/// A client that does not know whether it was heard asks again, and gets the same deployment.
async fn is_deployed_once(client: &Client) -> Outcome<String> {
    let key = [("idempotency-key", "order-1")];
    let body = json!({ "application": "shop" });
    let first = client
        .ask(Method::POST, "/deploys", &key, body.clone())
        .await?;
    let second = client.ask(Method::POST, "/deploys", &key, body).await?;
    say(&format!("POST /deploys, twice: {} {}", first.0, first.1))?;
    check(
        first.0 == StatusCode::ACCEPTED && first == second,
        "one key makes one deployment",
    )?;
    Ok(format!(
        "/deploys/{}",
        first.1["id"].as_str().unwrap_or_default()
    ))
}

/// The connection is cut after the first step, and what comes then is not missed.
async fn is_followed(client: &Client, deploy: &str) -> Outcome<()> {
    let path = format!("{deploy}/events");
    let events = client
        .follow(&path, "0")
        .await?
        .ok_or("there are no events")?;
    let mut seen = read_until(events, "node_completed").await?;
    let last = last_id(&seen)?;
    say(&format!("... cut off after event {last}"))?;

    let signal = format!("{deploy}/signals/deploy.approved");
    let key = [("idempotency-key", "click-1")];
    let approved = json!({ "by": "ann" });
    let first = client
        .ask(Method::POST, &signal, &key, approved.clone())
        .await?;
    let again = client.ask(Method::POST, &signal, &key, approved).await?;
    check(
        (first.0, again.0) == (StatusCode::ACCEPTED, StatusCode::OK),
        "a signal is taken once under its key",
    )?;

    let events = client
        .follow(&path, &last)
        .await?
        .ok_or("there are no more events")?;
    seen.extend(read_until(events, "run_completed").await?);
    let ids: Vec<String> = seen.iter().map(|message| message.id.clone()).collect();
    let expected: Vec<String> = (1..=ids.len()).map(|id| id.to_string()).collect();
    check(ids == expected, "every event came once, in order")?;
    let more = client.follow(&path, &last_id(&seen)?).await?;
    check(more.is_none(), "who has all is told not to come again")?;

    let (status, run) = client.ask(Method::GET, deploy, &[], Value::Null).await?;
    say(&format!(
        "GET {deploy}: {status} {}, {}",
        run["status"], run["state"]
    ))?;
    check(
        run["status"] == "completed" && run["state"]["approved_by"] == "ann",
        "the deployment is live",
    )
}

/// Each kind of failure has its status.
async fn is_refused(client: &Client, deploy: &str) -> Outcome<()> {
    let key = [("idempotency-key", "order-1")];
    let approved = format!("{deploy}/signals/deploy.approved");
    let nobody = "/deploys/00000000-0000-7000-8000-000000000000";
    let other = json!({ "application": "another" });
    for (method, path, body, expected) in [
        (Method::POST, "/deploys", other, StatusCode::CONFLICT),
        (
            Method::POST,
            &*approved,
            json!({ "by": "bob" }),
            StatusCode::CONFLICT,
        ),
        (Method::GET, nobody, Value::Null, StatusCode::NOT_FOUND),
        (Method::DELETE, deploy, Value::Null, StatusCode::CONFLICT),
    ] {
        let (status, answer) = client.ask(method.clone(), path, &key, body).await?;
        say(&format!("{method} {path}: {status} {}", answer["error"]))?;
        check(status == expected, "a refusal has the status of its kind")?;
    }
    Ok(())
}

async fn is_cancelled(client: &Client) -> Outcome<()> {
    let body = json!({ "application": "blog" });
    let (_, started) = client.ask(Method::POST, "/deploys", &[], body).await?;
    let deploy = format!("/deploys/{}", started["id"].as_str().unwrap_or_default());
    let (status, _) = client
        .ask(Method::DELETE, &deploy, &[], Value::Null)
        .await?;
    say(&format!("DELETE {deploy}: {status}"))?;
    check(
        status == StatusCode::ACCEPTED,
        "a deployment can be cancelled",
    )?;
    let events = client.follow(&format!("{deploy}/events"), "0").await?;
    let events = events.ok_or("there are no events")?;
    read_until(events, "run_cancelled").await?;
    Ok(())
}

/// Shows the messages up to one with this event, and breaks off.
async fn read_until(mut events: Events, event: &str) -> Outcome<Vec<Message>> {
    let mut seen = Vec::new();
    while let Some(message) = events.next().await? {
        say(&format!(
            "  {} {} {}",
            message.id, message.event, message.data
        ))?;
        let is_last = message.event == event;
        seen.push(message);
        if is_last {
            return Ok(seen);
        }
    }
    Err(format!("the stream ended without {event}").into())
}

fn last_id(seen: &[Message]) -> Outcome<String> {
    let last = seen.last().ok_or("there was no event")?;
    Ok(last.id.clone())
}

fn say(line: &str) -> Outcome<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// An example that shows something else than it says must fail.
fn check(holds: bool, what: &str) -> Outcome<()> {
    if holds {
        return Ok(());
    }
    Err(format!("it does not hold that {what}").into())
}
