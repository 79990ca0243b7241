// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What every request passes before it is looked at: it is counted, and turned away while the
//! server plays an overloaded one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Method, Request, StatusCode};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse, S3Error, S3ErrorCode};

/// What a test counts and orders.
#[derive(Default)]
pub(super) struct Traffic {
    requests: AtomicU64,
    slow_downs: AtomicU64,
}

impl Traffic {
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub(super) fn slow_down(&self, requests: u64) {
        self.slow_downs.store(requests, Ordering::SeqCst);
    }

    /// Whether the next request is to be turned away; it counts as one of those ordered.
    fn takes_slow_down(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.slow_downs
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
            .is_ok()
    }
}

/// The service that a connection is given.
#[derive(Clone)]
pub(super) struct Gate {
    service: S3Service,
    traffic: Arc<Traffic>,
}

impl Gate {
    pub(super) fn new(service: S3Service, traffic: Arc<Traffic>) -> Self {
        Self { service, traffic }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<HttpResponse, HttpError> {
        self.traffic.requests.fetch_add(1, Ordering::SeqCst);
        let request = request.map(Body::from);
        if self.traffic.takes_slow_down() {
            // Read whole, so that a client which is still sending meets an answer and no reset.
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.next().await {}
            return refusal(S3ErrorCode::SlowDown, "Please reduce your request rate.");
        }
        let is_form = request.method() == Method::POST;
        let response = self.service.call(request).await?;
        // A form that breaks its policy is forbidden; the library calls its policy malformed.
        if is_form && says(&response, StatusCode::BAD_REQUEST, "Policy condition ") {
            return refusal(
                S3ErrorCode::AccessDenied,
                "Invalid according to Policy: Policy Condition failed",
            );
        }
        // A link by another algorithm is a bad request; the library says that it has none such.
        if says(&response, StatusCode::NOT_IMPLEMENTED, "X-Amz-Algorithm ") {
            return refusal(
                S3ErrorCode::AuthorizationQueryParametersError,
                "X-Amz-Algorithm only supports AWS4-HMAC-SHA256",
            );
        }
        Ok(response)
    }
}

impl Service<Request<Incoming>> for Gate {
    type Response = HttpResponse;
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// Whether an answer has this status, and this in its text.
fn says(response: &HttpResponse, status: StatusCode, text: &str) -> bool {
    response.status() == status
        && response
            .body()
            .bytes()
            .is_some_and(|body| String::from_utf8_lossy(&body).contains(text))
}

fn refusal(code: S3ErrorCode, message: &'static str) -> Result<HttpResponse, HttpError> {
    S3Error::with_message(code, message)
        .to_http_response()
        .map_err(|error| HttpError::new(Box::new(error)))
}
