// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a process tells of its cache: the metrics of the `metrics` facade.
//!
//! Every name is written here and in `docs/telemetry.md`. Where nobody listens, a metric costs a look.
//! Labels have few values: namespaces and names of limiters, never keys.

use std::time::Duration;

use metrics::{SharedString, counter, gauge, histogram};

use crate::namespace::Namespace;

/// A typed read found a value, or not.
pub(crate) fn read(namespace: &Namespace, found: bool) {
    let outcome = if found { "hit" } else { "miss" };
    let labels = [
        ("namespace", namespace.label()),
        ("outcome", outcome.into()),
    ];
    counter!("forktex_cache_reads_total", &labels).increment(1);
}

/// A call of a cached function was answered; see the table for the outcomes.
pub(crate) fn call_answered(namespace: &Namespace, outcome: &'static str) {
    let labels = [
        ("namespace", namespace.label()),
        ("outcome", outcome.into()),
    ];
    counter!("forktex_cache_calls_total", &labels).increment(1);
}

/// A cached function's body ran.
pub(crate) fn loaded(namespace: &Namespace, outcome: &'static str, took: Duration) {
    let labels = [
        ("namespace", namespace.label()),
        ("outcome", outcome.into()),
    ];
    counter!("forktex_cache_loads_total", &labels).increment(1);
    histogram!("forktex_cache_load_seconds", &labels[..1]).record(took.as_secs_f64());
}

/// A stored value did not fit the type of its function, and is replaced.
pub(crate) fn misfit(namespace: &Namespace) {
    let labels = [("namespace", namespace.label())];
    counter!("forktex_cache_misfits_total", &labels).increment(1);
}

/// Entries of the local tier were dropped: `invalidated`, `reconnected` or `moved`.
pub(crate) fn local_dropped(reason: &'static str, count: u64) {
    counter!("forktex_cache_local_dropped_total", "reason" => reason).increment(count);
}

/// A limiter decided: `allowed` or `refused`, by `redis`, `in_process` or `outage`.
pub(crate) fn limit_decided(limiter: SharedString, outcome: &'static str, source: &'static str) {
    let labels = [
        ("limiter", limiter),
        ("outcome", outcome.into()),
        ("source", source.into()),
    ];
    counter!("forktex_cache_limits_total", &labels).increment(1);
}

/// A command to Redis failed: `unavailable`, `timeout` or `rejected`.
pub(crate) fn command_failed(kind: &'static str) {
    counter!("forktex_cache_command_failures_total", "kind" => kind).increment(1);
}

/// Whether the circuit is open.
pub(crate) fn circuit_open(open: bool) {
    gauge!("forktex_cache_circuit_open").set(f64::from(u8::from(open)));
}
