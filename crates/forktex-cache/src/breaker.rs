// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The circuit breaker: when Redis failed several times in a row, calls are answered at once for a
//! while, and then one of them tries again.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::CacheError;
use crate::telemetry;

/// So many outages in a row open the circuit.
const FAILURES_MAX: u32 = 5;
/// How long it stays open at first; it doubles each time that the try fails.
const OPEN_FIRST: Duration = Duration::from_secs(1);
/// It never stays open longer.
const OPEN_MAX: Duration = Duration::from_secs(30);

/// Counts outages. Only they count: a refused command shows that Redis is there.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Outages in a row, while the circuit is closed.
    failures: AtomicU32,
    /// Read first by every call, so that a closed circuit takes no lock.
    is_open: AtomicBool,
    open: Mutex<Open>,
}

/// The circuit while it is open.
#[derive(Debug, Default)]
struct Open {
    /// How often in a row it was opened.
    times: u32,
    until: Option<Instant>,
    /// Whether a call is out that tries.
    is_trying: bool,
}

/// A call that was let through. Tell it how the call went; dropped without that, the call was
/// cancelled, and says nothing.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    tries: bool,
}

impl Breaker {
    /// Lets a call through, or says when one will be.
    pub(crate) fn admit(&self, action: &'static str) -> Result<Permit<'_>, CacheError> {
        if !self.is_open.load(Ordering::Acquire) {
            return Ok(Permit {
                breaker: self,
                tries: false,
            });
        }
        let mut open = self.lock();
        let now = Instant::now();
        match open.until {
            // Another call closed it meanwhile.
            None => Ok(Permit {
                breaker: self,
                tries: false,
            }),
            Some(until) if until <= now && !open.is_trying => {
                open.is_trying = true;
                Ok(Permit {
                    breaker: self,
                    tries: true,
                })
            }
            Some(until) => Err(CacheError::CircuitOpen {
                action,
                retry_in: until.saturating_duration_since(now),
            }),
        }
    }

    fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.is_open.load(Ordering::Acquire) {
            // Both under the lock, or a call that opens it in between would be lost.
            let mut open = self.lock();
            *open = Open::default();
            self.is_open.store(false, Ordering::Release);
            drop(open);
            telemetry::circuit_open(false);
            tracing::info!("Redis answers again");
        }
    }

    fn failed(&self, tried: bool) {
        let failures = self
            .failures
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        if !tried && failures < FAILURES_MAX {
            return;
        }
        let mut open = self.lock();
        // Of the calls that were under way when it opened, each fails by itself; only a try counts.
        if open.until.is_some() && !tried {
            return;
        }
        let pause = pause(open.times);
        *open = Open {
            times: open.times.saturating_add(1),
            until: Some(Instant::now() + pause),
            is_trying: false,
        };
        self.is_open.store(true, Ordering::Release);
        if !tried {
            telemetry::circuit_open(true);
            tracing::warn!(
                ?pause,
                "Redis failed several times in a row; calls are not tried for a while"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Redis answered.
    pub(crate) fn succeeded(mut self) {
        self.tries = false;
        self.breaker.succeeded();
    }

    /// Redis could not be used.
    pub(crate) fn failed(mut self) {
        let tried = std::mem::take(&mut self.tries);
        self.breaker.failed(tried);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.tries {
            // The next call tries.
            self.breaker.lock().is_trying = false;
        }
    }
}

/// How long the circuit stays open, up to a tenth less so that processes do not try in step.
fn pause(times: u32) -> Duration {
    let longest = OPEN_FIRST
        .saturating_mul(2_u32.saturating_pow(times.min(10)))
        .min(OPEN_MAX);
    longest.mul_f64(1.0 - 0.1 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker) {
        breaker.admit("read").unwrap().failed();
    }

    fn is_refused(breaker: &Breaker) -> bool {
        match breaker.admit("read") {
            Err(CacheError::CircuitOpen { .. }) => true,
            Err(other) => panic!("{other}"),
            Ok(_) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn outages_in_a_row_open_the_circuit_and_a_try_that_succeeds_closes_it() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES_MAX {
            fail(&breaker);
        }
        breaker.admit("read").unwrap().succeeded();
        for _ in 1..FAILURES_MAX {
            fail(&breaker);
        }
        assert!(!is_refused(&breaker));
        fail(&breaker);
        assert!(is_refused(&breaker));

        tokio::time::advance(OPEN_FIRST).await;
        let tries = breaker.admit("read").unwrap();
        assert!(is_refused(&breaker), "one tries at a time");
        tries.succeeded();
        assert!(!is_refused(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn each_try_that_fails_doubles_the_pause_up_to_its_limit() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            fail(&breaker);
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(is_refused(&breaker));
            tokio::time::advance(Duration::from_millis(seconds * 900 - 1)).await;
            assert!(is_refused(&breaker), "after {seconds} s");
            tokio::time::advance(Duration::from_millis(seconds * 100 + 1)).await;
            fail(&breaker);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_is_cancelled_leaves_it_to_the_next_call() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            fail(&breaker);
        }
        tokio::time::advance(OPEN_FIRST).await;
        drop(breaker.admit("read").unwrap());
        assert!(!is_refused(&breaker));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_do_not_lengthen_the_pause() {
        let breaker = Breaker::default();
        let under_way: Vec<_> = (0..20).map(|_| breaker.admit("read").unwrap()).collect();
        under_way.into_iter().for_each(Permit::failed);
        tokio::time::advance(OPEN_FIRST).await;
        assert!(!is_refused(&breaker));
    }
}
