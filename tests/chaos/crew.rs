// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The worker processes of a round, as their murderer sees them.

use std::collections::BTreeMap;
use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::worker::{Orders, SLOTS, STOP};

/// The most bodies that a run has under way at once: the parallel nodes of `chaos.line`.
const MEMBERS: u32 = 4;

/// How long a worker may take to drain.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// What became of the points where a process may die.
#[derive(Debug, Default)]
pub(crate) struct Coverage(BTreeMap<String, Seen>);

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) reached: u32,
    pub(crate) died: u32,
}

impl Coverage {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of one point.
    pub(crate) fn of(&self, point: &str) -> Seen {
        self.0.get(point).copied().unwrap_or_default()
    }
}

pub(crate) type SharedCoverage = Arc<Mutex<Coverage>>;

pub(crate) fn locked(coverage: &SharedCoverage) -> MutexGuard<'_, Coverage> {
    coverage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One worker process. Dropping it kills it.
pub(crate) struct Hand {
    pub(crate) name: String,
    child: Child,
    pub(crate) born_at: Instant,
    dies_when_it_stops: bool,
}

/// What a worker comes to only when it is asked to end.
const AT_THE_STOP: [&str; 2] = ["remove_worker", "step_down"];

impl Hand {
    fn send(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        // One that has ended meanwhile is as dead as it is to be.
        if let Some(pid) = id.and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it must be asked to end, so that it dies where it is to.
    pub(crate) fn dies_when_it_stops(&self) -> bool {
        self.dies_when_it_stops
    }

    fn is_dead(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

/// All workers of a round.
pub(crate) struct Crew {
    hands: Vec<Hand>,
    born: u32,
    coverage: SharedCoverage,
    /// Who was hurt, and how many bodies may have been under way there, once for each time.
    blows: Vec<(String, u32)>,
    pub(crate) kills: u32,
}

impl Crew {
    pub(crate) fn new(coverage: SharedCoverage) -> Self {
        Self {
            hands: Vec::new(),
            born: 0,
            coverage,
            blows: Vec::new(),
            kills: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.hands.len()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.hands.iter().map(|hand| hand.name.clone()).collect()
    }

    pub(crate) fn oldest(&self) -> Option<&Hand> {
        self.hands.first()
    }

    pub(crate) fn blows(&self) -> &[(String, u32)] {
        &self.blows
    }

    /// Starts a worker under these orders, with a name of its own.
    pub(crate) fn hire(&mut self, mut orders: Orders) -> io::Result<()> {
        self.born += 1;
        orders.name = format!("w{}", self.born);
        let dies_when_it_stops = orders.dies_at.as_ref().is_some_and(|(point, _)| {
            let method = point.split_once('.').map(|(_, method)| method);
            method.is_some_and(|method| AT_THE_STOP.contains(&method))
        });
        let text = serde_json::to_string(&orders).map_err(io::Error::other)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["work", &text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(out) = child.stdout.take() {
            let coverage = Arc::clone(&self.coverage);
            tokio::spawn(async move {
                let mut lines = BufReader::new(out).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut coverage = locked(&coverage);
                    match line.split_once(' ') {
                        Some(("hit", point)) => {
                            coverage.0.entry(point.to_owned()).or_default().reached += 1;
                        }
                        Some(("dying", point)) => {
                            coverage.0.entry(point.to_owned()).or_default().died += 1;
                        }
                        _ => {}
                    }
                }
            });
        }
        self.hands.push(Hand {
            name: orders.name,
            child,
            born_at: Instant::now(),
            dies_when_it_stops,
        });
        Ok(())
    }

    /// Notes that these workers may have lost what they had under way.
    fn note_blow(&mut self, names: impl IntoIterator<Item = String>) {
        let bodies = SLOTS * MEMBERS;
        self.blows
            .extend(names.into_iter().map(|name| (name, bodies)));
    }

    /// Notes a blow to all that are there: the server, or the way to it.
    pub(crate) fn note_blow_to_all(&mut self) {
        self.note_blow(self.names());
    }

    /// Removes those that have ended by themselves. Returns how many.
    pub(crate) fn bury(&mut self) -> usize {
        let mut dead = Vec::new();
        self.hands.retain_mut(|hand| {
            let is_dead = hand.is_dead();
            if is_dead {
                dead.push(hand.name.clone());
            }
            !is_dead
        });
        let count = dead.len();
        self.kills += u32::try_from(count).unwrap_or(u32::MAX);
        self.note_blow(dead);
        count
    }

    /// `SIGKILL`, by place.
    pub(crate) async fn kill(&mut self, place: usize) {
        let mut hand = self.hands.remove(place);
        self.kills += 1;
        self.note_blow([hand.name.clone()]);
        // It may have ended by itself just now.
        let _ = hand.child.kill().await;
    }

    /// As [`kill`](Self::kill), by name, if it is there.
    pub(crate) async fn kill_named(&mut self, name: &str) -> bool {
        let place = self.hands.iter().position(|hand| hand.name == name);
        if let Some(place) = place {
            self.kill(place).await;
        }
        place.is_some()
    }

    /// `SIGSTOP`.
    pub(crate) fn freeze(&self, place: usize) {
        self.hands[place].send(Signal::STOP);
    }

    /// One that stays frozen past its lease loses what it holds.
    pub(crate) fn note_blow_to(&mut self, place: usize) {
        self.note_blow([self.hands[place].name.clone()]);
    }

    /// `SIGCONT` to all.
    pub(crate) fn thaw(&self) {
        for hand in &self.hands {
            hand.send(Signal::CONT);
        }
    }

    /// Has one drain and end, as a deployment does.
    pub(crate) async fn dismiss(&mut self, place: usize) {
        let mut hand = self.hands.remove(place);
        self.note_blow([hand.name.clone()]);
        end(&mut hand).await;
    }

    /// Has all drain and end. Returns whether they did in time.
    pub(crate) async fn dismiss_all(&mut self) -> bool {
        let mut hands = std::mem::take(&mut self.hands);
        let ended = futures_util::future::join_all(hands.iter_mut().map(end)).await;
        ended.into_iter().all(|in_time| in_time)
    }
}

async fn end(hand: &mut Hand) -> bool {
    if let Some(input) = &mut hand.child.stdin {
        let _ = input.write_all(format!("{STOP}\n").as_bytes()).await;
        let _ = input.flush().await;
    }
    let in_time = tokio::time::timeout(STOP_LIMIT, hand.child.wait()).await;
    if in_time.is_err() {
        let _ = hand.child.kill().await;
    }
    in_time.is_ok()
}
