// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The settings of a worker.

use std::time::Duration;

use crate::error::WorkerError;

/// How many jobs run at a time by default.
pub const CONCURRENCY_DEFAULT: u32 = 16;

/// The most jobs that run at a time.
pub const CONCURRENCY_MAX: u32 = 10_000;

/// How long the queue waits for a sign of life by default.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(15);

/// How long a body may go on by default after its job was cancelled.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(5);

/// How long dead letters are kept by default: 30 days.
pub const DEAD_LETTERS_KEPT_DEFAULT: Duration = Duration::from_hours(30 * 24);

/// The bounds of a lease.
const LEASES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_hours(24);

#[derive(Debug, Clone)]
pub(super) struct WorkerOptions {
    pub(super) concurrency: u32,
    pub(super) queues: Option<Vec<String>>,
    pub(super) lease: Duration,
    pub(super) grace: Duration,
    pub(super) dead_letters_kept: Duration,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY_DEFAULT,
            queues: None,
            lease: LEASE_DEFAULT,
            grace: GRACE_DEFAULT,
            dead_letters_kept: DEAD_LETTERS_KEPT_DEFAULT,
        }
    }
}

impl WorkerOptions {
    pub(super) fn check(&self) -> Result<(), WorkerError> {
        if !(1..=CONCURRENCY_MAX).contains(&self.concurrency) {
            return Err(WorkerError::InvalidOption {
                option: "concurrency",
                reason: "it is from 1 to 10,000",
            });
        }
        if !LEASES.contains(&self.lease) {
            return Err(WorkerError::InvalidOption {
                option: "lease",
                reason: "it is from 100 ms to a day",
            });
        }
        Ok(())
    }
}
