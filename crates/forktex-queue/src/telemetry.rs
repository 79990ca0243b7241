// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a process tells of its work: the spans of `tracing`, and the metrics of the `metrics` facade.
//!
//! Every name is written here and in `docs/telemetry.md`. Where nobody listens, a metric costs a look
//! and a span nothing.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::Span;

use crate::backend::{ClaimedJob, Maintained, Put};
use crate::identifier::JobName;

/// A job was put in, or was there already.
pub(crate) fn enqueued(job: &JobName, put: Put) {
    let outcome = match put {
        Put::Inserted => "inserted",
        Put::Duplicate(_) => "duplicate",
    };
    let labels = [("job", label(job.as_str())), ("outcome", outcome.into())];
    counter!("forktex_queue_enqueued_total", &labels).increment(1);
}

/// A worker claimed jobs.
pub(crate) fn claimed(count: usize, took: Duration) {
    counter!("forktex_queue_claimed_total").increment(count as u64);
    histogram!("forktex_queue_claim_seconds").record(took.as_secs_f64());
}

/// An attempt ended.
pub(crate) fn attempt_ended(job: &JobName, outcome: &'static str, took: Duration) {
    let labels = [("job", label(job.as_str())), ("outcome", outcome.into())];
    counter!("forktex_queue_attempts_total", &labels).increment(1);
    histogram!("forktex_queue_attempt_seconds", &labels[..1]).record(took.as_secs_f64());
}

/// A batch of outcomes was written.
pub(crate) fn settled(count: usize, refused: usize, took: Duration) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a batch has some hundred at most"
    )]
    histogram!("forktex_queue_settle_batch").record(count as f64);
    histogram!("forktex_queue_settle_seconds").record(took.as_secs_f64());
    counter!("forktex_queue_refused_total").increment(refused as u64);
}

/// Leases were lost while their jobs ran.
pub(crate) fn leases_lost(count: usize) {
    counter!("forktex_queue_leases_lost_total").increment(count as u64);
}

/// Maintenance did something.
pub(crate) fn maintained(done: Maintained) {
    counter!("forktex_queue_promoted_total").increment(done.promoted);
    counter!("forktex_queue_taken_back_total").increment(done.taken_back);
    counter!("forktex_queue_buried_total").increment(done.buried);
    counter!("forktex_queue_pruned_total").increment(done.pruned);
}

/// A schedule was fired by this process.
pub(crate) fn fired(schedule: &str) {
    let labels = [("schedule", label(schedule))];
    counter!("forktex_queue_fired_total", &labels).increment(1);
}

/// How many jobs run in a worker.
pub(crate) fn slots_in_use(count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    gauge!("forktex_queue_slots_in_use").set(f64::from(count));
}

fn label(text: &str) -> metrics::SharedString {
    metrics::SharedString::from(text.to_owned())
}

/// The span of an attempt. Neither payload nor the words of an error are in it: they may tell what is
/// secret.
pub(crate) fn attempt_span(job: &ClaimedJob) -> Span {
    tracing::info_span!(
        "job",
        otel.name = format_args!("{} process", job.queue),
        otel.kind = "consumer",
        otel.status_code = tracing::field::Empty,
        error.r#type = tracing::field::Empty,
        messaging.system = "forktex_queue",
        messaging.operation.r#type = "process",
        messaging.destination.name = %job.queue,
        messaging.message.id = %job.id,
        forktex.job.name = %job.name,
        forktex.job.attempt = job.attempt,
        forktex.job.trace_parent = job.trace_parent.as_deref(),
    )
}

/// Notes in the span of an attempt that it failed, and how.
pub(crate) fn attempt_failed(span: &Span, outcome: &'static str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", outcome);
}
