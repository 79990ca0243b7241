// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Puts the jobs in, while the server comes and goes.

use std::time::Duration;

use forktex_queue::{Queue, QueueError};

use crate::Outcome;
use crate::ledger::Ledger;
use crate::worker::{Poison, Work};

/// How many jobs are put in together.
const BATCH: u64 = 50;

/// One of so many jobs kills its worker.
const POISON_EVERY: u64 = 500;

/// How long a job takes at most.
const TAKES_MS_MAX: u64 = 120;

/// The most jobs that wait: the queue is not to be full of work when its workers die.
const BACKLOG_MAX: usize = 1_000;

const PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn produce(queue: Queue, ledger: Ledger, jobs: u64, seed: u64) -> Outcome<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut next = 0;
    while next < jobs {
        let backlog = {
            let books = ledger.books();
            books.taken.len() - books.done_count()
        };
        if backlog > BACKLOG_MAX {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let numbers: Vec<u64> = (next..jobs.min(next + BATCH)).collect();
        next += BATCH;
        let works = numbers.iter().map(|number| Work {
            number: *number,
            takes_ms: rng.u64(20..=TAKES_MS_MAX),
        });
        let enqueued = queue.enqueue_many(works).await;
        note_batch(&ledger, &numbers, enqueued)?;
        for number in numbers.iter().filter(|number| *number % POISON_EVERY == 0) {
            let enqueued = queue.enqueue(Poison { number: *number }).await;
            let mut books = ledger.books();
            match enqueued {
                Ok(enqueued) => {
                    books.poison.insert(*number, enqueued.id());
                }
                Err(error) if error.is_transient() => books.doubtful_poison.push(*number),
                Err(error) => return Err(error.into()),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

fn note_batch(
    ledger: &Ledger,
    numbers: &[u64],
    enqueued: Result<Vec<forktex_queue::Enqueued>, QueueError>,
) -> Outcome<()> {
    let mut books = ledger.books();
    match enqueued {
        Ok(enqueued) => {
            if enqueued.len() != numbers.len() {
                return Err("an answer for each job was due".into());
            }
            let ids = enqueued.iter().map(|enqueued| enqueued.id());
            books.taken.extend(numbers.iter().copied().zip(ids));
        }
        Err(error) if error.is_transient() => books.doubtful.extend(numbers),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
