// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The service: a login behind two limits, which all its processes share.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use forktex::cache::{Cache, Decision, LimitError, Outage, RateLimitLayer, RateLimiter};
use serde::Deserialize;
use serde_json::json;

/// What the handlers share.
#[derive(Clone)]
struct Service {
    cache: Cache,
    by_account: RateLimiter,
}

/// The routes. It fails where a limit is no limit, so that a service with such a one does not start.
pub(crate) fn router(cache: Cache) -> Result<Router, LimitError> {
    // In front of everything else, and gone with Redis: then the other limit holds.
    let by_address = RateLimiter::sliding_window("login.address")
        .limit(10)
        .window("1m");
    let by_address = RateLimitLayer::new(by_address, cache.clone(), address)?;
    // Whoever guesses at one account from many addresses meets this one. Without Redis nobody logs in.
    let by_account = RateLimiter::sliding_window("login.account")
        .limit(3)
        .window("15m")
        .on_outage(Outage::Refuse)
        .validated()?;
    Ok(Router::new()
        .route("/login", post(login))
        .route_layer(by_address)
        .route("/health", get(async || "ok"))
        .with_state(Service { cache, by_account }))
}

/// The address of the connection: behind a proxy, take it from the header that the proxy sets.
fn address(request: &Request<Body>) -> Option<String> {
    let connected = request.extensions().get::<ConnectInfo<SocketAddr>>();
    connected.map(|ConnectInfo(address)| address.ip().to_string())
}

#[derive(Deserialize)]
struct Login {
    account: String,
    password: String,
}

async fn login(
    State(service): State<Service>,
    Json(login): Json<Login>,
) -> Result<Response, Refused> {
    let Service { cache, by_account } = &service;
    // Before the password is looked at, so that a refused guess learns nothing.
    let decision = by_account.check(cache, &login.account).await?;
    if !decision.allowed {
        return Err(Refused::TooMany(decision));
    }
    if login.password != format!("{}'s secret", login.account) {
        return Err(Refused::WrongPassword {
            attempts_left: decision.remaining,
        });
    }
    // Who has mistyped it twice begins anew.
    by_account.reset(cache, &login.account).await?;
    Ok(Json(json!({ "account": login.account })).into_response())
}

/// Why a login was refused.
enum Refused {
    WrongPassword { attempts_left: u64 },
    TooMany(Decision),
    Unchecked(LimitError),
}

impl From<LimitError> for Refused {
    fn from(error: LimitError) -> Self {
        Self::Unchecked(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::WrongPassword { attempts_left } => {
                let body = json!({ "error": "wrong password", "attempts_left": attempts_left });
                (StatusCode::UNAUTHORIZED, Json(body)).into_response()
            }
            Self::TooMany(decision) => {
                let wait = decision.retry_after.unwrap_or_default();
                let seconds = wait.as_secs_f64().ceil();
                let body = json!({ "error": "too many attempts" });
                let headers = [(RETRY_AFTER, seconds.to_string())];
                (StatusCode::TOO_MANY_REQUESTS, headers, Json(body)).into_response()
            }
            // An account without a name.
            Self::Unchecked(LimitError::Key { .. }) => StatusCode::BAD_REQUEST.into_response(),
            Self::Unchecked(error) => {
                tracing::error!(%error, "a login could not be checked");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
