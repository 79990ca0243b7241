// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A limiter before a service of tower, such as a router of axum.
//!
//! It speaks of requests and headers alone, and so fits whatever body they have.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use super::RateLimiter;
use super::decision::{Decision, DecisionSource};
use super::definition::Definition;
use super::error::LimitError;
use super::rule::Ask;
use crate::{Cache, KeyParts};

const POLICY: &str = "ratelimit-policy";
const STATE: &str = "ratelimit";
const LIMIT: &str = "ratelimit-limit";
const REMAINING: &str = "ratelimit-remaining";
const RESET: &str = "ratelimit-reset";

/// Limits the requests that reach a service, by a key of each request.
///
/// | A request | is answered |
/// |---|---|
/// | within the limit | by the service, which finds the [`Decision`] among the request's extensions |
/// | over it | `429 Too Many Requests` |
/// | during an outage, with [`Outage::Refuse`](crate::Outage::Refuse) | `503 Service Unavailable` |
/// | whose key cannot be made | `400 Bad Request` |
/// | that Redis refuses to check | `500 Internal Server Error`, and the log has an error |
///
/// What is answered here has the body's `Default`, which is empty with axum, and a `Retry-After` where
/// it is worth another try.
///
/// Every checked response carries the limit: `RateLimit-Policy` and `RateLimit`
/// (draft-ietf-httpapi-ratelimit-headers-11), and `RateLimit-Limit`, `RateLimit-Remaining` and
/// `RateLimit-Reset` of its older versions, which most clients read. Times are in whole seconds, rounded
/// up. Of several layers the first two list all, and the others tell of the one with the least left. A
/// decision made in an outage sets none.
///
/// The key is what a client cannot choose: an address by `ConnectInfo`, an account; a header such as
/// `X-Forwarded-For` only where a proxy of yours sets it.
///
/// # Examples
/// ```
/// use axum::Router;
/// use axum::body::Body;
/// use axum::http::Request;
/// use axum::routing::get;
/// use forktex_cache::{Cache, RateLimitLayer, RateLimiter};
/// # use tower::ServiceExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let cache = Cache::in_process();
/// let limiter = RateLimiter::sliding_window("search").limit(1).window("1s");
/// let by_account = |request: &Request<Body>| {
///     let account = request.headers().get("x-account");
///     account.and_then(|value| value.to_str().ok()).map(str::to_owned)
/// };
/// let router: Router = Router::new()
///     .route("/search", get(async || "found"))
///     .layer(RateLimitLayer::new(limiter, cache, by_account)?);
///
/// let request = || Request::get("/search").header("x-account", "7").body(Body::empty());
/// let response = router.clone().oneshot(request()?).await?;
/// assert_eq!(response.headers()["ratelimit-policy"], "\"search\";q=1;w=1");
/// assert_eq!(response.headers()["ratelimit"], "\"search\";r=0;t=1");
/// let response = router.oneshot(request()?).await?;
/// assert_eq!(response.status(), 429);
/// # Ok(())
/// # }
/// ```
#[must_use = "a layer limits nothing unless a service is put behind it"]
pub struct RateLimitLayer<F> {
    shared: Arc<Shared<F>>,
}

/// A service behind a [`RateLimitLayer`].
#[must_use = "services do nothing unless they are called"]
pub struct RateLimit<S, F> {
    inner: S,
    shared: Arc<Shared<F>>,
}

struct Shared<F> {
    definition: Definition,
    cache: Cache,
    key: F,
    /// The same for every response.
    policy: Option<HeaderValue>,
}

impl<F> RateLimitLayer<F> {
    /// A layer that checks each request with `limiter`, under the key that `key` gives for it: one part,
    /// or a tuple of them. A `None` in it is a key that cannot be made.
    ///
    /// # Errors
    /// [`LimitError`] for settings of the limiter that cannot be used.
    pub fn new<A, B, K>(limiter: RateLimiter<A>, cache: Cache, key: F) -> Result<Self, LimitError>
    where
        F: Fn(&Request<B>) -> K,
        K: KeyParts,
    {
        let definition = limiter.definition;
        let rule = definition.validate()?;
        let window = seconds(Duration::from_micros(rule.window_us()));
        let policy = format!("\"{}\";q={};w={window}", definition.name(), rule.limit());
        let shared = Shared {
            definition,
            cache,
            key,
            policy: HeaderValue::try_from(policy).ok(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }
}

impl<F> Clone for RateLimitLayer<F> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<F> fmt::Debug for RateLimitLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("definition", &self.shared.definition)
            .finish_non_exhaustive()
    }
}

impl<S, F> Layer<S> for RateLimitLayer<F> {
    type Service = RateLimit<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit {
            inner,
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: Clone, F> Clone for RateLimit<S, F> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S: fmt::Debug, F> fmt::Debug for RateLimit<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("inner", &self.inner)
            .field("definition", &self.shared.definition)
            .finish_non_exhaustive()
    }
}

impl<S, F, K, B, R> Service<Request<B>> for RateLimit<S, F>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    F: Fn(&Request<B>) -> K + Send + Sync + 'static,
    K: KeyParts,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was asked whether it is ready is the one to be called.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        let key = shared.definition.key((shared.key)(&request));
        Box::pin(async move {
            let decided = match key {
                Ok(key) => {
                    let definition = &shared.definition;
                    definition.decide(&shared.cache, &key, Ask::take()).await
                }
                Err(error) => Err(error),
            };
            let decision = match decided {
                Ok(decision) => decision,
                Err(error) => return Ok(without_decision(&error)),
            };
            let mut response = if decision.allowed {
                request.extensions_mut().insert(decision);
                inner.call(request).await?
            } else {
                refused(decision)
            };
            if decision.source != DecisionSource::Outage {
                let name = shared.definition.name();
                tell(
                    response.headers_mut(),
                    name,
                    shared.policy.as_ref(),
                    decision,
                );
            }
            Ok(response)
        })
    }
}

fn without_decision<R: Default>(error: &LimitError) -> Response<R> {
    if let LimitError::Key { source, .. } = error {
        // It is the client who sends what the key is made of.
        tracing::debug!(%error, %source, "a request has no key to limit it by");
        return answer(StatusCode::BAD_REQUEST);
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(%error, cause, "a request could not be checked against its rate limit");
    answer(StatusCode::INTERNAL_SERVER_ERROR)
}

fn refused<R: Default>(decision: Decision) -> Response<R> {
    let mut response = answer(match decision.source {
        // It is no fault of the client's.
        DecisionSource::Outage => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::TOO_MANY_REQUESTS,
    });
    if let Some(retry_after) = decision.retry_after {
        let value = HeaderValue::from(seconds(retry_after));
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

fn answer<R: Default>(status: StatusCode) -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = status;
    response
}

/// Sets the headers, beside those of a layer further in.
fn tell(headers: &mut HeaderMap, name: &str, policy: Option<&HeaderValue>, decision: Decision) {
    let Decision {
        limit, remaining, ..
    } = decision;
    // Until then there is no more than what remains.
    let reset = seconds(decision.retry_after.unwrap_or(decision.reset));
    if let Some(policy) = policy {
        headers.append(POLICY, policy.clone());
    }
    if let Ok(state) = HeaderValue::try_from(format!("\"{name}\";r={remaining};t={reset}")) {
        headers.append(STATE, state);
    }
    let other = headers.get(REMAINING).and_then(|value| value.to_str().ok());
    let other: Option<u64> = other.and_then(|value| value.parse().ok());
    if other.is_none_or(|other| remaining < other) {
        headers.insert(LIMIT, limit.into());
        headers.insert(REMAINING, remaining.into());
        headers.insert(RESET, reset.into());
    }
}

/// Whole seconds, so that who waits for them has waited long enough.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
