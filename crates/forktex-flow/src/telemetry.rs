// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a process tells of its work: the spans of `tracing`, and the metrics of the `metrics` facade.
//!
//! Every name is written here and in `docs/telemetry.md`. Where nobody listens, a metric costs a look
//! and a span nothing.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::Span;

use crate::error::failure::StepFailure;
use crate::identifier::{NodeName, WorkflowName};
use crate::instance::InstanceStatus;

/// Runs were accepted.
pub(crate) fn runs_started(workflow: &WorkflowName, trigger: &'static str, count: u64) {
    let labels = [
        ("workflow", label(workflow.as_str())),
        ("trigger", trigger.into()),
    ];
    counter!("forktex_flow_runs_started_total", &labels).increment(count);
}

/// A run ended with a worker of this process.
pub(crate) fn run_ended(workflow: &WorkflowName, status: InstanceStatus) {
    let labels = [
        ("workflow", label(workflow.as_str())),
        ("status", status.as_str().into()),
    ];
    counter!("forktex_flow_runs_ended_total", &labels).increment(1);
}

/// A worker claimed runs.
pub(crate) fn runs_claimed(count: usize, took: Duration) {
    counter!("forktex_flow_runs_claimed_total").increment(count as u64);
    histogram!("forktex_flow_claim_seconds").record(took.as_secs_f64());
}

/// Runs were taken from workers whose lease was over.
pub(crate) fn runs_lost(count: u64) {
    counter!("forktex_flow_runs_lost_total").increment(count);
}

/// An attempt of a step ended.
pub(crate) fn attempt_ended(
    workflow: &WorkflowName,
    node: &NodeName,
    outcome: Result<(), &StepFailure>,
    took: Duration,
) {
    let outcome = if outcome.is_ok() {
        "completed"
    } else {
        "failed"
    };
    let labels = [
        ("workflow", label(workflow.as_str())),
        ("node", label(node.as_str())),
        ("outcome", outcome.into()),
    ];
    counter!("forktex_flow_attempts_total", &labels).increment(1);
    histogram!("forktex_flow_attempt_seconds", &labels[..2]).record(took.as_secs_f64());
}

/// A batch of checkpoints was committed.
pub(crate) fn checkpoints_committed(count: usize, took: Duration) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a batch has some hundred at most"
    )]
    histogram!("forktex_flow_checkpoint_batch").record(count as f64);
    histogram!("forktex_flow_checkpoint_seconds").record(took.as_secs_f64());
}

/// How many slots are in use.
pub(crate) fn slots_in_use(count: u32) {
    gauge!("forktex_flow_slots_in_use").set(f64::from(count));
}

/// Whether this process leads.
pub(crate) fn leading(leads: bool) {
    gauge!("forktex_flow_leading").set(f64::from(u8::from(leads)));
}

fn label(text: &str) -> metrics::SharedString {
    metrics::SharedString::from(text.to_owned())
}

/// The span of an attempt. The words of a failure stay out of it: they may tell what is secret.
pub(crate) fn attempt_span(ctx: &crate::Ctx) -> Span {
    tracing::info_span!(
        "step",
        otel.name = format_args!("{} {}", ctx.workflow_name(), ctx.node()),
        otel.kind = "internal",
        otel.status_code = tracing::field::Empty,
        error.r#type = tracing::field::Empty,
        forktex.workflow.name = %ctx.workflow_name(),
        forktex.workflow.version = ctx.version(),
        forktex.run.id = %ctx.instance_id(),
        forktex.node.name = %ctx.node(),
        forktex.node.visit = ctx.visit(),
        forktex.node.attempt = ctx.attempt(),
    )
}

/// Notes in the span of an attempt that it failed, and how.
pub(crate) fn attempt_failed(span: &Span, failure: &StepFailure) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", failure.kind.as_str());
}
