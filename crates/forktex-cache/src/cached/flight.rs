// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Flights: loads of this process that others wait for.
//!
//! The first call that comes to a key leads, and runs its own load; those that come meanwhile wait for
//! its answer. A leader that is dropped or panics leaves the flight to the others, of whom one leads the
//! next. So does one that nobody polls any more: its task may itself be waiting for one of those that
//! wait for it, which would otherwise last for ever.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasher as _;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fred::bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::nesting::Nesting;
use super::waits::Waits;

/// Parts of the table, each under a lock of its own.
const SHARDS: usize = 16;
/// The most keys that are refreshed at once; beyond them, values are served as they are.
const REFRESHES_MAX: usize = 256;

/// The flights of a cache.
#[derive(Clone, Default)]
pub(crate) struct Flights(Arc<Table>);

#[derive(Default)]
struct Table {
    shards: [Mutex<HashMap<String, Arc<Flight>>>; SHARDS],
    hasher: RandomState,
    flights: AtomicU64,
    waits: Waits,
    refreshes: Mutex<HashSet<String>>,
    complaints: Mutex<HashSet<String>>,
}

/// A load that is under way.
struct Flight {
    id: u64,
    key: String,
    state: watch::Sender<State>,
    began: Instant,
    /// When its leader was last polled, in milliseconds from its begin.
    alive_ms: AtomicU64,
}

#[derive(Clone, Debug)]
enum State {
    Flying,
    Landed(Answer),
    Abandoned,
}

/// What a leader tells the others.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The JSON of a value, which each reads for itself.
    Value(Bytes),
    /// That there is none.
    Nothing,
    /// That there is nothing to tell: each is to load for itself.
    Failed,
}

/// What a call that comes to a key is to do.
pub(super) enum Turn {
    Lead(Lead),
    Wait(Wait),
}

/// How a wait ended.
pub(super) enum Landing {
    Landed(Answer),
    /// The leader is gone; another one may lead.
    Abandoned,
    /// The flight waits for one that the caller is inside of.
    Circular,
}

impl Flights {
    /// Joins the flight of the key, or begins one.
    pub(super) fn board(&self, key: &str) -> Turn {
        let table = &self.0;
        match table.shard(key).entry(key.to_owned()) {
            Entry::Occupied(entry) => {
                let flight = Arc::clone(entry.get());
                Turn::Wait(Wait {
                    receiver: flight.state.subscribe(),
                    flight,
                    table: Arc::clone(table),
                })
            }
            Entry::Vacant(entry) => {
                let flight = Arc::new(Flight {
                    id: table.flights.fetch_add(1, Ordering::Relaxed),
                    key: key.to_owned(),
                    state: watch::Sender::new(State::Flying),
                    began: Instant::now(),
                    alive_ms: AtomicU64::new(0),
                });
                entry.insert(Arc::clone(&flight));
                Turn::Lead(Lead {
                    flight,
                    table: Arc::clone(table),
                })
            }
        }
    }

    /// Lets calls that come from now on begin a flight of their own: what the present one loads may be
    /// from before a delete.
    pub(crate) fn detach(&self, key: &str) {
        self.0.shard(key).remove(key);
    }

    /// As [`detach`](Self::detach), for all keys.
    pub(crate) fn detach_all(&self) {
        for shard in &self.0.shards {
            lock(shard).clear();
        }
    }

    /// Begins to refresh the key, unless that is under way in this process, or too much is.
    pub(super) fn begin_refresh(&self, key: &str) -> Option<RefreshTurn> {
        let mut refreshes = lock(&self.0.refreshes);
        if refreshes.len() >= REFRESHES_MAX || !refreshes.insert(key.to_owned()) {
            return None;
        }
        Some(RefreshTurn {
            key: key.to_owned(),
            table: Arc::clone(&self.0),
        })
    }

    /// Whether this is said for the first time. What is said is of few kinds: of a namespace, not of a
    /// key.
    pub(super) fn is_first(&self, complaint: &str) -> bool {
        let mut complaints = lock(&self.0.complaints);
        !complaints.contains(complaint) && complaints.insert(complaint.to_owned())
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flights: usize = self.0.shards.iter().map(|shard| lock(shard).len()).sum();
        f.debug_struct("Flights").field("flying", &flights).finish()
    }
}

impl Table {
    fn shard(&self, key: &str) -> MutexGuard<'_, HashMap<String, Arc<Flight>>> {
        let hash = self.hasher.hash_one(key);
        let shard = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        // There are as many shards as the remainder has values.
        lock(self.shards.get(shard).unwrap_or(&self.shards[0]))
    }

    /// Takes the flight out, unless another one has its place.
    fn remove(&self, flight: &Arc<Flight>) {
        let mut shard = self.shard(&flight.key);
        if shard
            .get(&flight.key)
            .is_some_and(|present| Arc::ptr_eq(present, flight))
        {
            shard.remove(&flight.key);
        }
    }
}

impl Flight {
    fn is_silent(&self, limit: Duration) -> bool {
        let alive = Duration::from_millis(self.alive_ms.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(alive) >= limit
    }

    fn end(&self, state: State) {
        self.state.send_if_modified(|present| {
            let is_flying = matches!(present, State::Flying);
            if is_flying {
                *present = state;
            }
            is_flying
        });
    }
}

/// The leader's hold on its flight. Dropped before it has landed, it leaves the flight to the others.
pub(super) struct Lead {
    flight: Arc<Flight>,
    table: Arc<Table>,
}

impl Lead {
    pub(super) fn id(&self) -> u64 {
        self.flight.id
    }

    /// Tells the others. Those that come before the flight is dropped are told as well.
    pub(super) fn land(&self, answer: Answer) {
        self.flight.end(State::Landed(answer));
    }

    /// Gives signs of life as long as it is polled.
    pub(super) fn signs(&self) -> Signs {
        Signs(Arc::clone(&self.flight))
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.table.remove(&self.flight);
        self.flight.end(State::Abandoned);
    }
}

/// The leader's signs of life.
pub(super) struct Signs(Arc<Flight>);

impl Signs {
    /// Does the leader's work, with a sign of life each `period` that it is polled.
    pub(super) async fn during<F: Future>(self, period: Duration, work: F) -> F::Output {
        let mut work = pin!(work);
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                _ = ticks.tick() => {
                    let alive = self.0.began.elapsed().as_millis();
                    let alive = u64::try_from(alive).unwrap_or(u64::MAX);
                    self.0.alive_ms.store(alive, Ordering::Relaxed);
                }
            }
        }
    }
}

/// A place among those that wait.
pub(super) struct Wait {
    receiver: watch::Receiver<State>,
    flight: Arc<Flight>,
    table: Arc<Table>,
}

impl Wait {
    /// Waits for the answer, at most `silence` beyond the leader's last sign of life.
    pub(super) async fn landing(mut self, silence: Duration, nesting: &Nesting) -> Landing {
        let Some(_waiting) = self.table.waits.begin(nesting.flights(), self.flight.id) else {
            return Landing::Circular;
        };
        loop {
            match &*self.receiver.borrow_and_update() {
                State::Flying => {}
                State::Landed(answer) => return Landing::Landed(answer.clone()),
                State::Abandoned => return Landing::Abandoned,
            }
            let changed = timeout(silence, self.receiver.changed()).await;
            if changed.is_err() && self.flight.is_silent(silence) {
                self.table.remove(&self.flight);
                self.flight.end(State::Abandoned);
            }
        }
    }
}

/// The turn to refresh a key.
pub(super) struct RefreshTurn {
    key: String,
    table: Arc<Table>,
}

impl Drop for RefreshTurn {
    fn drop(&mut self) {
        lock(&self.table.refreshes).remove(&self.key);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(2);

    fn lead(flights: &Flights) -> Lead {
        match flights.board("k") {
            Turn::Lead(lead) => lead,
            Turn::Wait(_) => panic!("another one leads"),
        }
    }

    fn wait(flights: &Flights) -> Wait {
        match flights.board("k") {
            Turn::Wait(wait) => wait,
            Turn::Lead(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn those_that_wait_are_told_and_the_next_leads() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let early = wait(&flights);
        leader.land(Answer::Value(Bytes::from_static(b"1")));
        let late = wait(&flights);
        for wait in [early, late] {
            let landing = wait.landing(SILENCE, &Nesting::current()).await;
            assert!(matches!(landing, Landing::Landed(Answer::Value(json)) if json == "1"));
        }
        drop(leader);
        lead(&flights);
    }

    #[tokio::test]
    async fn a_dropped_leader_leaves_the_flight() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let waiting = wait(&flights);
        drop(leader);
        let landing = waiting.landing(SILENCE, &Nesting::current()).await;
        assert!(matches!(landing, Landing::Abandoned));
        lead(&flights);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_nobody_polls_loses_the_flight_and_a_slow_one_keeps_it() {
        let flights = Flights::default();
        let silent = lead(&flights);
        let landing = wait(&flights).landing(SILENCE, &Nesting::current()).await;
        assert!(matches!(landing, Landing::Abandoned));

        let slow = lead(&flights);
        let waiting = wait(&flights);
        drop(silent);
        let work = async {
            tokio::time::sleep(SILENCE * 10).await;
            slow.land(Answer::Nothing);
        };
        let nesting = Nesting::current();
        let signs = slow.signs().during(SILENCE / 3, work);
        let (landing, ()) = tokio::join!(waiting.landing(SILENCE, &nesting), signs);
        assert!(matches!(landing, Landing::Landed(Answer::Nothing)));
    }

    #[tokio::test]
    async fn a_detached_flight_tells_those_that_wait_and_no_others() {
        let flights = Flights::default();
        let old = lead(&flights);
        let waiting = wait(&flights);
        flights.detach("k");
        let new = lead(&flights);
        old.land(Answer::Nothing);
        drop(old);
        let landing = waiting.landing(SILENCE, &Nesting::current()).await;
        assert!(matches!(landing, Landing::Landed(Answer::Nothing)));
        wait(&flights);
        drop(new);
    }

    #[test]
    fn a_key_is_refreshed_once_at_a_time() {
        let flights = Flights::default();
        let turn = flights.begin_refresh("k");
        assert!(turn.is_some() && flights.begin_refresh("k").is_none());
        drop(turn);
        assert!(flights.begin_refresh("k").is_some());
    }
}
