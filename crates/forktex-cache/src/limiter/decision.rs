// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a limiter answers.

use std::time::Duration;

use super::rule::Verdict;
use crate::CacheError;

/// How long a caller waits who was refused because Redis did not answer.
const OUTAGE_RETRY: Duration = Duration::from_secs(1);

/// Whether a call is allowed, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a decision limits nothing unless somebody looks at it"]
#[non_exhaustive]
pub struct Decision {
    /// Whether the call may go on.
    pub allowed: bool,
    /// The limit: of a [`gcra`](crate::RateLimiter::gcra) its burst.
    pub limit: u64,
    /// How much is left after this call. Zero where nothing is known, in an outage.
    pub remaining: u64,
    /// How long until the same call would be allowed, if nobody else takes anything; none where it is
    /// allowed. In an outage a guess: until the circuit breaker tries again, or one second.
    pub retry_after: Option<Duration>,
    /// How long until all of the limit is free, if nobody takes anything. Zero in an outage.
    pub reset: Duration,
    /// Who decided.
    pub source: DecisionSource,
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecisionSource {
    /// Redis: it holds for all processes.
    Redis,
    /// This process alone.
    InProcess,
    /// Nobody: Redis did not answer, and [`Outage`] was applied.
    Outage,
}

/// What is decided while Redis does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// Everything is allowed: the service goes on, without its limits.
    #[default]
    Allow,
    /// Everything is refused: the limit holds, and what stands behind it is down.
    Refuse,
}

impl Decision {
    pub(super) fn new(verdict: Verdict, limit: u64, source: DecisionSource) -> Self {
        let retry_after = Duration::from_micros(verdict.retry_after_us);
        Self {
            allowed: verdict.allowed,
            limit,
            remaining: verdict.remaining,
            retry_after: (!verdict.allowed).then_some(retry_after),
            reset: Duration::from_micros(verdict.reset_us),
            source,
        }
    }

    pub(super) fn in_outage(outage: Outage, limit: u64, error: &CacheError) -> Self {
        let allowed = outage == Outage::Allow;
        let retry_after = match error {
            CacheError::CircuitOpen { retry_in, .. } => *retry_in,
            _ => OUTAGE_RETRY,
        };
        Self {
            allowed,
            limit,
            remaining: 0,
            retry_after: (!allowed).then_some(retry_after),
            reset: Duration::ZERO,
            source: DecisionSource::Outage,
        }
    }

    /// The outcome and the source, as the metrics call them.
    pub(super) fn labels(&self) -> (&'static str, &'static str) {
        let outcome = if self.allowed { "allowed" } else { "refused" };
        let source = match self.source {
            DecisionSource::Redis => "redis",
            DecisionSource::InProcess => "in_process",
            DecisionSource::Outage => "outage",
        };
        (outcome, source)
    }
}
