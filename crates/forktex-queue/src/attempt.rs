// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs one attempt of a claimed job, and says what came of it.
//!
//! It writes nothing: the worker, and a queue that runs its jobs inline, hand the outcome to the backend.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::backend::{ClaimedJob, Outcome};
use crate::context::JobContext;
use crate::error::JobError;
use crate::error::job::Course;
use crate::handler::{Failure, Handlers};
use crate::job::JobSettings;
use crate::record::{DeadReason, bounded};
use crate::retry::delay_after;
use crate::telemetry;
use crate::trace;

/// How long a job rests that nobody here can do, so that a worker of another release may.
pub(crate) const UNKNOWN_REST: Duration = Duration::from_mins(1);

/// Ties the span of an attempt to the trace of whoever enqueued the job.
pub(crate) type AdoptTrace = Arc<dyn Fn(&Span, &str) + Send + Sync>;

/// What reaches an attempt from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    /// Somebody asks that the job ends.
    pub(crate) cancelled: CancellationToken,
    /// The lease is another's: whatever comes of the attempt, nobody will take it.
    pub(crate) lost: CancellationToken,
    /// The worker has no more time.
    pub(crate) abandoned: CancellationToken,
}

/// Runs attempts.
#[derive(Clone)]
pub(crate) struct Performer {
    pub(crate) handlers: Handlers,
    /// How long a body may go on after it was asked to end.
    pub(crate) grace: Duration,
    pub(crate) adopt_trace: Option<AdoptTrace>,
}

/// How the body ended.
enum End {
    Body(Result<(), Failure>),
    Panicked(String),
    TimedOut,
    Cancelled,
    Lost,
    Abandoned,
}

impl Performer {
    /// Runs the attempt; `None` where its lease is lost, so that there is nothing to say.
    pub(crate) async fn perform(&self, job: &ClaimedJob, signals: &Signals) -> Option<Outcome> {
        let Some(handler) = self.handlers.find(&job.name) else {
            tracing::warn!(
                job = %job.name, id = %job.id,
                "no handler here knows this job; it is handed back for a minute"
            );
            telemetry::attempt_ended(&job.name, "unknown", Duration::ZERO);
            return Some(Outcome::Release {
                delay: UNKNOWN_REST,
                note: Some("no handler of the worker that took it knows its name".to_owned()),
            });
        };
        let span = telemetry::attempt_span(job);
        if let (Some(adopt), Some(parent)) = (&self.adopt_trace, &job.trace_parent) {
            adopt(&span, parent);
        }
        let ctx = JobContext::of(job, signals.cancelled.clone());
        let body = handler.call(job.payload.clone(), ctx, self.handlers.resources.clone());
        let body = trace::with_current(job.trace_parent.clone(), body);
        let started_at = Instant::now();
        let end = self.end(job, signals, body.instrument(span.clone())).await;
        let outcome = outcome(job, &handler.settings, signals, end);
        tell(job, &span, outcome.as_ref(), started_at.elapsed());
        outcome
    }

    async fn end(
        &self,
        job: &ClaimedJob,
        signals: &Signals,
        body: impl Future<Output = Result<(), Failure>> + Send,
    ) -> End {
        let body = AssertUnwindSafe(body).catch_unwind();
        let overdue = async {
            signals.cancelled.cancelled().await;
            sleep(self.grace).await;
        };
        tokio::select! {
            biased;
            ended = body => match ended {
                Ok(result) => End::Body(result),
                Err(panic) => End::Panicked(panic_text(panic)),
            },
            () = signals.lost.cancelled() => End::Lost,
            () = signals.abandoned.cancelled() => End::Abandoned,
            () = overdue => End::Cancelled,
            () = sleep(job.timeout) => End::TimedOut,
        }
    }
}

fn outcome(
    job: &ClaimedJob,
    settings: &JobSettings,
    signals: &Signals,
    end: End,
) -> Option<Outcome> {
    let error = match end {
        End::Body(Ok(())) => return Some(Outcome::Done),
        End::Lost => return None,
        End::Cancelled => return Some(Outcome::Cancelled),
        End::Abandoned => {
            return Some(Outcome::Release {
                delay: Duration::ZERO,
                note: Some("its worker was stopped before it was done".to_owned()),
            });
        }
        End::Body(Err(Failure::Undecodable(fault))) => {
            return Some(Outcome::Dead {
                reason: DeadReason::Undecodable,
                error: bounded(&format!("the payload cannot be read as its type: {fault}")),
            });
        }
        End::Body(Err(Failure::Job(error))) => error,
        End::Panicked(text) => JobError::of_text(&format!("the handler panicked: {text}")),
        End::TimedOut => JobError::of_text(&format!("timed out after {:?}", job.timeout)),
    };
    if signals.cancelled.is_cancelled() {
        return Some(Outcome::Cancelled);
    }
    let dead = |reason| Outcome::Dead {
        reason,
        error: error.text.clone(),
    };
    Some(match error.course {
        Course::Fatal => dead(DeadReason::Fatal),
        _ if job.attempt >= job.attempts_max => dead(DeadReason::Exhausted),
        Course::RetryAfter(delay) => Outcome::Retry {
            delay,
            error: error.text,
        },
        Course::Retry => Outcome::Retry {
            delay: delay_after(settings.backoff, job.attempt, fastrand::f64()),
            error: error.text,
        },
    })
}

/// Tells those who observe the process that an attempt has ended.
fn tell(job: &ClaimedJob, span: &Span, outcome: Option<&Outcome>, took: Duration) {
    let word = match outcome {
        Some(Outcome::Done) => "done",
        Some(Outcome::Retry { .. }) => "failed",
        Some(Outcome::Dead { .. }) => "dead",
        Some(Outcome::Release { .. }) => "handed_back",
        Some(Outcome::Cancelled) => "cancelled",
        None => "lost",
    };
    telemetry::attempt_ended(&job.name, word, took);
    if !matches!(word, "done" | "handed_back" | "cancelled") {
        telemetry::attempt_failed(span, word);
    }
    if let Some(Outcome::Dead { reason, .. }) = outcome {
        tracing::warn!(job = %job.name, id = %job.id, %reason, "a job is a dead letter");
    }
}

fn panic_text(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast_ref::<&'static str>()
            .map_or_else(|| "without a text".to_owned(), |text| (*text).to_owned()),
    }
}
