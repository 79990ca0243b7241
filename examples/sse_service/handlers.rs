// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The handlers: each is a call of the flow and a status code.
//!
//! They do no work of the deployment; a request that breaks off breaks nothing.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use forktex::flow::prelude::{Flow, Instance, InstanceId, json};
use forktex::flow::{EventStream, ReadError, Sent};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::deploy::{Deploy, DeployUp};
use crate::error::ApiError;

/// How long a stream is silent before it says that it is still there: proxies cut what is silent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) flow: Flow,
    /// Ends the streams, which would keep a server that stops from ever being done.
    pub(crate) stop: CancellationToken,
}

pub(crate) fn router(service: Service) -> Router {
    Router::new()
        .route("/deploys", post(start))
        .route("/deploys/{id}", get(read).delete(cancel))
        .route("/deploys/{id}/events", get(events))
        .route("/deploys/{id}/signals/{name}", post(signal))
        .with_state(service)
}

#[derive(Deserialize)]
struct NewDeploy {
    application: String,
}

/// Starts a deployment: at most once under one `Idempotency-Key`.
async fn start(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(new): Json<NewDeploy>,
) -> Result<Response, ApiError> {
    let deploy = Deploy {
        application: new.application,
        server_id: None,
        approved_by: None,
    };
    let mut start = service.flow.start(DeployUp, deploy);
    if let Some(key) = text(&headers, "idempotency-key")? {
        start = start.idempotency_key(key);
    }
    let id = start.await?.id();
    let location = format!("/deploys/{id}");
    let body = Json(json!({ "id": id }));
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
}

async fn read(
    State(service): State<Service>,
    Path(id): Path<InstanceId>,
) -> Result<Json<Instance>, ApiError> {
    Ok(Json(service.flow.get(id).await?))
}

/// All that happened and will happen, as server-sent events. A browser that was cut off comes back with
/// the id of the last event that it has, and gets those after it; one that has all is told not to come
/// again.
async fn events(
    State(service): State<Service>,
    Path(id): Path<InstanceId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let last = text(&headers, "last-event-id")?.unwrap_or("0");
    let last: i64 = last
        .parse()
        .map_err(|_| ApiError::Header("last-event-id"))?;
    let run = service.flow.handle(id);
    let is_over = run.refresh().await?.status.is_terminal();
    let mut events = run.stream_after(last);
    let mut first = Vec::new();
    if is_over {
        match events.next().await {
            Some(event) => first.push(Ok(event?.to_sse())),
            None => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
    let messages = stream::iter(first)
        .chain(messages(events))
        .take_until(service.stop.cancelled_owned());
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(messages)).into_response())
}

/// The messages, and a comment where there was none for a while. An error ends the response; the browser
/// comes again.
fn messages(events: EventStream) -> impl Stream<Item = Result<String, ReadError>> {
    stream::unfold(events, async |mut events| {
        let message = match tokio::time::timeout(KEEP_ALIVE, events.next()).await {
            Ok(event) => event?.map(|event| event.to_sse()),
            Err(_) => Ok(":\n\n".to_owned()),
        };
        Some((message, events))
    })
}

/// Sends a signal: at most once under one `Idempotency-Key`.
async fn signal(
    State(service): State<Service>,
    Path((id, name)): Path<(InstanceId, String)>,
    headers: HeaderMap,
    Json(payload): Json<Value>,
) -> Result<StatusCode, ApiError> {
    let mut send = service.flow.handle(id).send_named(name, payload);
    if let Some(key) = text(&headers, "idempotency-key")? {
        send = send.idempotency_key(key);
    }
    Ok(match send.await? {
        Sent::Duplicate => StatusCode::OK,
        _ => StatusCode::ACCEPTED,
    })
}

/// Asks for the end of a deployment. A step that runs is given its grace period, so it is accepted, not
/// done.
async fn cancel(
    State(service): State<Service>,
    Path(id): Path<InstanceId>,
) -> Result<StatusCode, ApiError> {
    service
        .flow
        .handle(id)
        .cancel("deleted by a client")
        .await?;
    Ok(StatusCode::ACCEPTED)
}

/// A header that is text, where there is one.
fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let value = headers.get(name).map(|value| value.to_str());
    value.transpose().map_err(|_| ApiError::Header(name))
}
