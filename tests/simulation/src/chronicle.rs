// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where the history of a world is written while it happens, and where its chances are drawn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use forktex_flow::InstanceId;
use tokio::time::Instant;

use crate::history::{Answer, Moment, Request, What};
use crate::plan::Hazards;

/// The history so far, and the chances of what comes.
pub(crate) struct Chronicle {
    begun: Instant,
    written: Mutex<Written>,
}

struct Written {
    moments: Vec<Moment>,
    random: Rng,
    hazards: Hazards,
    calls: u32,
    /// How often a body has killed its process, by run and node.
    kills: HashMap<(InstanceId, String), u32>,
}

impl Chronicle {
    pub(crate) fn new(random: Rng, hazards: Hazards) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            written: Mutex::new(Written {
                moments: Vec::new(),
                random,
                hazards,
                calls: 0,
                kills: HashMap::new(),
            }),
        })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, process: u32, what: What) {
        let at = self.begun.elapsed();
        self.written().moments.push(Moment { at, process, what });
    }

    /// Notes that a caller asks. Returns the number of the call.
    pub(crate) fn asked(&self, process: u32, request: Request) -> u32 {
        let call = {
            let mut written = self.written();
            written.calls += 1;
            written.calls
        };
        self.note(process, What::Asked { call, request });
        call
    }

    pub(crate) fn answered(&self, process: u32, call: u32, answer: Answer) {
        self.note(process, What::Answered { call, answer });
    }

    /// Draws from the world's chances.
    pub(crate) fn draw<T>(&self, how: impl FnOnce(&mut Rng, &Hazards) -> T) -> T {
        let written = &mut *self.written();
        how(&mut written.random, &written.hazards)
    }

    /// From now on nothing goes wrong.
    pub(crate) fn end_trouble(&self) {
        self.written().hazards = Hazards::NONE;
        self.note(0, What::TroubleEnds);
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.written().hazards != Hazards::NONE
    }

    /// Counts another death by the hand of a body. Returns how many there were before.
    pub(crate) fn kill(&self, run: InstanceId, node: &str) -> u32 {
        let mut written = self.written();
        let kills = written.kills.entry((run, node.to_owned())).or_default();
        *kills += 1;
        *kills - 1
    }

    pub(crate) fn kills(&self, run: InstanceId, node: &str) -> u32 {
        let kills = &self.written().kills;
        kills
            .get(&(run, node.to_owned()))
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// All moments until now.
    pub(crate) fn take(&self) -> Vec<Moment> {
        std::mem::take(&mut self.written().moments)
    }
}
