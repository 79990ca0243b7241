// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What `#[cached(..)]` says of a function, made when the program is compiled.

use std::time::Duration;

const LEASE_DEFAULT: Duration = Duration::from_secs(2);
const JITTER_DEFAULT: f64 = 0.1;

/// How a value is kept and loaded. Times are milliseconds, which the macro has checked.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub(super) ttl: Duration,
    pub(super) negative_ttl: Option<Duration>,
    pub(super) stale: Duration,
    pub(super) stale_if_error: Duration,
    pub(super) early: Option<f64>,
    pub(super) single_flight: SingleFlight,
    pub(super) lease: Duration,
    pub(super) jitter: f64,
    pub(super) local: Option<Duration>,
}

/// Among whom a value is loaded by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SingleFlight {
    /// The calls of one process.
    Process,
    /// The calls of all processes.
    Cluster,
    /// Nobody: each call that finds nothing loads.
    Off,
}

impl Policy {
    /// Values are fresh for so long.
    pub const fn new(ttl_ms: u64) -> Self {
        Self {
            ttl: Duration::from_millis(ttl_ms),
            negative_ttl: None,
            stale: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            early: None,
            single_flight: SingleFlight::Process,
            lease: LEASE_DEFAULT,
            jitter: JITTER_DEFAULT,
            local: None,
        }
    }

    /// An absent value is kept, for so long.
    pub const fn negative_ttl(mut self, ms: u64) -> Self {
        self.negative_ttl = Some(Duration::from_millis(ms));
        self
    }

    /// A value is served so long after it was fresh, while it is loaded anew.
    pub const fn stale(mut self, ms: u64) -> Self {
        self.stale = Duration::from_millis(ms);
        self
    }

    /// A value is served so long after that, where loading fails.
    pub const fn stale_if_error(mut self, ms: u64) -> Self {
        self.stale_if_error = Duration::from_millis(ms);
        self
    }

    /// Values are loaded anew before their time is over, at random, the sooner the larger the factor.
    pub const fn early(mut self, factor: f64) -> Self {
        self.early = Some(factor);
        self
    }

    /// Among whom a value is loaded by one.
    pub const fn single_flight(mut self, among: SingleFlight) -> Self {
        self.single_flight = among;
        self
    }

    /// How long a load stays with a process, or a call, that has gone silent.
    pub const fn lease(mut self, ms: u64) -> Self {
        self.lease = Duration::from_millis(ms);
        self
    }

    /// The share of its time by which a value may be fresh less long, at random.
    pub const fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// Values are kept in this process too, for so long.
    pub const fn local(mut self, ms: u64) -> Self {
        self.local = Some(Duration::from_millis(ms));
        self
    }

    /// How often a lease is renewed, and a call that loads gives a sign of life.
    pub(super) fn renewal(&self) -> Duration {
        self.lease / 3
    }

    /// Whether a value's time must be known when it is read, beyond that it has not gone.
    pub(super) fn needs_time(&self) -> bool {
        !self.stale.is_zero()
            || !self.stale_if_error.is_zero()
            || self.early.is_some()
            || self.local.is_some()
    }

    /// Whether a value is stored with its times.
    pub(super) fn stores_times(&self) -> bool {
        !self.stale.is_zero() || !self.stale_if_error.is_zero() || self.early.is_some()
    }
}
