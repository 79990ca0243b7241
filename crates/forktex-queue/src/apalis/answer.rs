// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The layer around each task: tells the queue what came of it, and drops it when its attempt is over.

use std::error::Error;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::error::{AbortError, BoxDynError, DeferredError, RetryAfterError};
use apalis_core::layers::{Layer, Service};
use apalis_core::task::Task;
use futures_util::future::BoxFuture;

use super::task::Attempt;
use crate::error::{JobError, JobResult};

/// The layer of an [`ApalisBackend`](super::ApalisBackend), outside all layers of the worker: it sees what
/// they leave of an error.
#[derive(Debug, Clone, Default)]
pub struct AnswerLayer(());

impl AnswerLayer {
    /// The layer; it has no settings.
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for AnswerLayer {
    type Service = AnswerService<S>;

    fn layer(&self, inner: S) -> AnswerService<S> {
        AnswerService { inner }
    }
}

/// The service that [`AnswerLayer`] makes.
#[derive(Debug, Clone)]
pub struct AnswerService<S> {
    inner: S,
}

impl<S, J> Service<Task<J>> for AnswerService<S>
where
    S: Service<Task<J>>,
    S::Error: Into<BoxDynError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<S::Response, BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<J>) -> Self::Future {
        let attempt = task.data().get::<Attempt>().cloned();
        let body = self.inner.call(task);
        Box::pin(async move {
            // A task that did not come from a queue has nobody to be told.
            let Some(attempt) = attempt else {
                return body.await.map_err(Into::into);
            };
            let result = tokio::select! {
                biased;
                result = body => result.map_err(Into::into),
                () = attempt.is_over.cancelled() => {
                    let reason = "the attempt is over: it timed out, was cancelled, or lost its lease";
                    return Err(AbortError::new(reason).into());
                }
            };
            attempt.end(told(result.as_ref().err()));
            result
        })
    }
}

/// What an error of apalis means for the job.
fn told(error: Option<&BoxDynError>) -> JobResult {
    let Some(error) = error else {
        return Ok(());
    };
    Err(if let Some(abort) = error.downcast_ref::<AbortError>() {
        JobError::fatal(cause(abort))
    } else if let Some(retry) = error.downcast_ref::<RetryAfterError>() {
        JobError::retry_after(retry.get_duration(), cause(retry))
    } else if let Some(deferred) = error.downcast_ref::<DeferredError>() {
        JobError::retry_after(Duration::ZERO, cause(deferred))
    } else {
        JobError::new(chain(&**error))
    })
}

/// What apalis wraps.
fn cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), chain)
}

/// An error with its causes, as far as they go.
fn chain(error: &(dyn Error + 'static)) -> String {
    const CAUSES_MAX: usize = 32;
    let causes = std::iter::successors(error.source(), |error| Error::source(*error));
    causes
        .take(CAUSES_MAX)
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: impl Into<BoxDynError>) -> (bool, String) {
        let error = told(Some(&error.into())).unwrap_err();
        (error.is_fatal(), error.to_string())
    }

    #[test]
    fn the_errors_of_apalis_keep_their_meaning() {
        assert!(told(None).is_ok());
        assert_eq!(text("gone"), (false, "gone".to_owned()));
        assert_eq!(text(AbortError::new("gone")), (true, "gone".to_owned()));
        let later = RetryAfterError::new("busy", Duration::from_secs(5));
        assert_eq!(text(later), (false, "busy".to_owned()));
        assert_eq!(text(DeferredError::new("busy")), (false, "busy".to_owned()));
    }
}
