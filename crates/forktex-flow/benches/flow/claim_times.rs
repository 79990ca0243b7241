// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Listens to the engine's metrics, and keeps how long claims took. All others are dropped unheard.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

const CLAIM_SECONDS: &str = "forktex_flow_claim_seconds";

/// How long each claim took that found runs, in milliseconds.
#[derive(Clone, Default)]
pub(crate) struct ClaimTimes(Arc<Times>);

#[derive(Default)]
struct Times(Mutex<Vec<f64>>);

impl ClaimTimes {
    /// Listens from now on. Once in a process.
    pub(crate) fn listen() -> Result<Self, Box<dyn Error>> {
        let times = Self::default();
        metrics::set_global_recorder(times.clone())
            .map_err(|_| "another part of this program listens to metrics")?;
        Ok(times)
    }

    /// What was heard since the last time.
    pub(crate) fn take(&self) -> Vec<f64> {
        std::mem::take(&mut *self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl HistogramFn for Times {
    fn record(&self, seconds: f64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seconds * 1_000.0);
    }
}

impl Recorder for ClaimTimes {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if key.name() == CLAIM_SECONDS {
            Histogram::from_arc(Arc::clone(&self.0))
        } else {
            Histogram::noop()
        }
    }
}
