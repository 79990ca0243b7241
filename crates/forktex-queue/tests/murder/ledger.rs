// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What was put in and what was done, as its doers said it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use forktex_queue::JobId;

#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
pub(crate) struct Books {
    /// The jobs that the queue has taken, by their numbers.
    pub(crate) taken: BTreeMap<u64, JobId>,
    /// The jobs whose enqueueing failed: they may be there or not.
    pub(crate) doubtful: Vec<u64>,
    pub(crate) poison: BTreeMap<u64, JobId>,
    pub(crate) doubtful_poison: Vec<u64>,
    pub(crate) done: BTreeMap<u64, Doings>,
    pub(crate) poisoned: BTreeMap<u64, u64>,
    /// Who was hurt: how many jobs may be done again for it.
    pub(crate) blows: u64,
}

/// What was done of one job.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doings {
    pub(crate) begins: u64,
    pub(crate) ends: u64,
    /// Who began and ended it, and in which attempt, in order.
    pub(crate) lines: Vec<String>,
}

impl Ledger {
    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line of a worker.
    pub(crate) fn note(&self, worker: &str, line: &str) {
        let mut words = line.split(' ');
        let (Some(word), Some(number)) = (words.next(), words.next()) else {
            return;
        };
        let Ok(number) = number.parse() else {
            return;
        };
        let mut books = self.books();
        match word {
            "begin" | "end" => {
                let doings = books.done.entry(number).or_default();
                if word == "begin" {
                    doings.begins += 1;
                } else {
                    doings.ends += 1;
                }
                doings.lines.push(format!("{worker}: {line}"));
            }
            "poison" => *books.poisoned.entry(number).or_default() += 1,
            _ => {}
        }
    }
}

impl Books {
    /// How many of the jobs that were taken are done.
    pub(crate) fn done_count(&self) -> usize {
        let is_done = |number: &&u64| self.done.get(number).is_some_and(|doings| doings.ends > 0);
        self.taken.keys().filter(is_done).count()
    }

    /// How often jobs were begun beside the first time.
    pub(crate) fn repeated(&self) -> u64 {
        self.done
            .values()
            .map(|doings| doings.begins.saturating_sub(1))
            .sum()
    }
}
