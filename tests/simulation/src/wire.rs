// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The line of one process to its store: it delays, loses and doubles calls, as the chances of the
//! world have it, and is where the process dies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use forktex_flow::simulation::{Effect, Line, Passage};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::chronicle::Chronicle;
use crate::history::{Lot, What};
use crate::plan::Hazards;

/// The line of a process.
pub(crate) struct Wire {
    pub(crate) process: u32,
    chronicle: Arc<Chronicle>,
    is_dead: watch::Sender<bool>,
    stopped: Mutex<Stopped>,
}

#[derive(Default)]
struct Stopped {
    frozen_until: Option<Instant>,
    heart_until: Option<Instant>,
}

/// What becomes of one call.
struct Chance {
    delay: Delay,
    /// Whether the process dies before it arrives.
    kills: bool,
    passage: Passage,
}

#[derive(Clone, Copy)]
enum Delay {
    None,
    /// Others go first.
    Turn,
    Time(Duration),
}

impl Wire {
    pub(crate) fn new(process: u32, chronicle: Arc<Chronicle>) -> Arc<Self> {
        Arc::new(Self {
            process,
            chronicle,
            is_dead: watch::Sender::new(false),
            stopped: Mutex::default(),
        })
    }

    /// The process dies: nothing that it does passes any more.
    pub(crate) fn die(&self) {
        if !self.is_dead.send_replace(true) {
            self.chronicle.note(self.process, What::Process(Lot::Dies));
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        *self.is_dead.borrow()
    }

    /// Resolves when the process is dead.
    pub(crate) async fn died(&self) {
        // The sender lives as long as this.
        let _ = self.is_dead.subscribe().wait_for(|is_dead| *is_dead).await;
    }

    pub(crate) fn freeze(&self, time: Duration) {
        self.stopped().frozen_until = Some(Instant::now() + time);
        let lot = Lot::Freezes(time);
        self.chronicle.note(self.process, What::Process(lot));
    }

    pub(crate) fn stop_heart(&self, time: Duration) {
        self.stopped().heart_until = Some(Instant::now() + time);
        let lot = Lot::LosesHeartbeats(time);
        self.chronicle.note(self.process, What::Process(lot));
    }

    fn stopped(&self) -> MutexGuard<'_, Stopped> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when something may pass; never for a process that is dead.
    async fn open(&self) {
        let frozen_until = self.stopped().frozen_until;
        if let Some(until) = frozen_until {
            tokio::time::sleep_until(until).await;
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    fn is_lost_beat(&self, call: &str) -> bool {
        let until = self.stopped().heart_until;
        call == "pulse" && until.is_some_and(|until| until > Instant::now())
    }
}

impl Delay {
    async fn pass(self) {
        match self {
            Self::None => {}
            Self::Turn => tokio::task::yield_now().await,
            Self::Time(time) => tokio::time::sleep(time).await,
        }
    }
}

#[async_trait]
impl Line for Wire {
    async fn reach(&self, call: &'static str) -> Passage {
        self.open().await;
        if self.process == 0 {
            return Passage::Whole;
        }
        let chance = self.chronicle.draw(chance);
        chance.delay.pass().await;
        self.open().await;
        if chance.kills {
            self.die();
            std::future::pending::<()>().await;
        }
        if self.is_lost_beat(call) {
            return Passage::Lost;
        }
        chance.passage
    }

    async fn answer(&self, _call: &'static str) {
        if self.process == 0 {
            return;
        }
        let (delay, dies) = self
            .chronicle
            .draw(|random, hazards| (delay(random, hazards), happens(random, hazards.death)));
        if dies {
            // What was asked for is done, and the process does not hear of it.
            self.die();
        }
        self.open().await;
        delay.pass().await;
        self.open().await;
    }

    fn saw(&self, effect: Effect) {
        self.chronicle.note(self.process, What::Effect(effect));
    }
}

fn happens(random: &mut Rng, in_100_000: u32) -> bool {
    in_100_000 > 0 && random.u32(..100_000) < in_100_000
}

fn delay(random: &mut Rng, hazards: &Hazards) -> Delay {
    match random.u32(..100) {
        0..50 => Delay::None,
        50..75 => Delay::Turn,
        75..98 => Delay::Time(Duration::from_micros(random.u64(50..4_000))),
        _ => Delay::Time(Duration::from_millis(random.u64(1..=hazards.slow_ms_max))),
    }
}

fn chance(random: &mut Rng, hazards: &Hazards) -> Chance {
    let passage = if happens(random, hazards.loss) {
        Passage::Lost
    } else if happens(random, hazards.answer_loss) {
        Passage::AnswerLost
    } else if happens(random, hazards.doubling) {
        Passage::Doubled
    } else {
        Passage::Whole
    };
    Chance {
        delay: delay(random, hazards),
        kills: happens(random, hazards.death),
        passage,
    }
}
