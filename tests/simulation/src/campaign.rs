// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Plays the worlds of many seeds, a thread for each processor, until one breaks a guarantee.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forktex_flow::planted::PlantedFault;

use crate::checker::{Guarantee, Violation, check};
use crate::history::History;
use crate::report;
use crate::tally::Tally;
use crate::world;

/// Which worlds are played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Campaign {
    pub(crate) from: u64,
    pub(crate) seeds: u64,
    pub(crate) planted: Option<PlantedFault>,
    /// Whether each is played twice, to see that both are the same.
    pub(crate) is_twice: bool,
}

/// A seed whose world broke a guarantee.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) seed: u64,
    pub(crate) violations: Vec<Violation>,
    pub(crate) history: Option<History>,
}

/// What came of a campaign.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    pub(crate) played: u64,
    pub(crate) took: Duration,
    /// The lowest of the seeds that were found to break a guarantee.
    pub(crate) broken: Option<Broken>,
}

/// How long a world may take of real time. One takes some milliseconds; one that takes this long goes
/// round in a circle, and its clock stands still.
const WORLD_LIMIT: Duration = Duration::from_mins(1);

/// What the threads have in common.
struct Shared {
    /// The worlds that are being played, and since when.
    playing: Mutex<BTreeMap<u64, Instant>>,
    next: AtomicU64,
    played: AtomicU64,
    is_over: AtomicBool,
    found: Mutex<(Tally, Option<Broken>)>,
}

impl Campaign {
    pub(crate) fn run(self) -> Outcome {
        let begun = Instant::now();
        let shared = Shared {
            playing: Mutex::default(),
            next: AtomicU64::new(self.from),
            played: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            found: Mutex::default(),
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| self.work(&shared)))
                .collect();
            scope.spawn(|| self.watch(&shared, begun));
            for worker in workers {
                // Worlds that panic are caught one by one.
                let _ = worker.join();
            }
            shared.is_over.store(true, Ordering::Relaxed);
        });
        let (tally, broken) = shared
            .found
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Outcome {
            tally,
            played: shared.played.into_inner(),
            took: begun.elapsed(),
            broken,
        }
    }

    fn work(self, shared: &Shared) {
        let mut tally = Tally::default();
        while !shared.is_over.load(Ordering::Relaxed) {
            let seed = shared.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.from.saturating_add(self.seeds) {
                break;
            }
            shared.playing().insert(seed, Instant::now());
            let (history, violations) = judge(seed, self.planted, self.is_twice);
            shared.playing().remove(&seed);
            shared.played.fetch_add(1, Ordering::Relaxed);
            if let Some(history) = &history {
                tally.count(history);
            }
            if !violations.is_empty() {
                shared.is_over.store(true, Ordering::Relaxed);
                let mut found = shared.found.lock().unwrap_or_else(PoisonError::into_inner);
                if found.1.as_ref().is_none_or(|broken| broken.seed > seed) {
                    found.1 = Some(Broken {
                        seed,
                        violations,
                        history,
                    });
                }
            }
        }
        shared
            .found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .merge(&tally);
    }

    /// Shows how far it is, and ends the process where a world does not come to an end.
    fn watch(self, shared: &Shared, begun: Instant) {
        let mut error = std::io::stderr();
        let is_shown = error.is_terminal();
        while !shared.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200));
            let played = shared.played.load(Ordering::Relaxed);
            let seconds = begun.elapsed().as_secs();
            if is_shown {
                // Progress that cannot be shown is no reason to stop.
                let _ = write!(error, "\r{played} of {} seeds, {seconds} s ", self.seeds);
            }
            let hung = shared
                .playing()
                .iter()
                .find_map(|(seed, since)| (since.elapsed() > WORLD_LIMIT).then_some(*seed));
            if let Some(seed) = hung {
                report::hung(seed, self.planted);
                // Its thread cannot be ended otherwise.
                std::process::exit(1);
            }
        }
        if is_shown {
            let _ = writeln!(error);
        }
    }
}

impl Shared {
    fn playing(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.playing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plays the world of a seed and judges it.
pub(crate) fn judge(
    seed: u64,
    planted: Option<PlantedFault>,
    is_twice: bool,
) -> (Option<History>, Vec<Violation>) {
    let unsound = |detail: String| Violation {
        guarantee: Guarantee::Soundness,
        run: None,
        detail,
    };
    let play = || match catch_unwind(|| world::play(seed, planted)) {
        Ok(played) => played,
        Err(_) => Err(format!(
            "the simulation panicked: {:?}",
            crate::panics::taken()
        )),
    };
    let history = match play() {
        Ok(history) => history,
        Err(error) => return (None, vec![unsound(error)]),
    };
    let mut violations = check(&history);
    if is_twice {
        let digests = play().map(|again| again.digest());
        if digests.as_ref() != Ok(&history.digest()) {
            violations.push(unsound("the same seed gave another history".to_owned()));
        }
    }
    (Some(history), violations)
}
