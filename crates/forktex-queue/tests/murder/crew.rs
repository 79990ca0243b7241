// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The processes of workers, as their murderer sees them.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::ledger::Ledger;
use crate::options::WORK;
use crate::worker::{HANDS, Orders, STOP};

/// How long a worker may take to drain.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// One process. Dropping it kills it.
pub(crate) struct Hand {
    pub(crate) name: String,
    child: Child,
    is_frozen: bool,
    /// Reads what it says to the end.
    reader: JoinHandle<()>,
}

impl Hand {
    pub(crate) fn send(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        // One that has ended meanwhile is as dead as it is to be.
        if let Some(pid) = id.and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// All workers of a round.
pub(crate) struct Crew {
    orders: String,
    ledger: Ledger,
    hands: Vec<Hand>,
    born: u32,
    pub(crate) kills: u32,
    pub(crate) freezes: u32,
    pub(crate) suicides: u32,
}

impl Crew {
    pub(crate) fn new(orders: &Orders, ledger: Ledger) -> Outcome<Self> {
        Ok(Self {
            orders: serde_json::to_string(orders)?,
            ledger,
            hands: Vec::new(),
            born: 0,
            kills: 0,
            freezes: 0,
            suicides: 0,
        })
    }

    /// Starts one more.
    pub(crate) fn hire(&mut self) -> Outcome<()> {
        self.born += 1;
        let name = format!("w{}", self.born);
        let mut child = Command::new(std::env::current_exe()?)
            .args([WORK, &self.orders])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let out = child.stdout.take().ok_or("a worker without an output")?;
        let (ledger, speaker) = (self.ledger.clone(), name.clone());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(out).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                ledger.note(&speaker, &line);
            }
        });
        self.hands.push(Hand {
            name,
            child,
            is_frozen: false,
            reader,
        });
        Ok(())
    }

    /// Hires until there are so many that are not frozen.
    pub(crate) async fn fill_up(&mut self, count: usize) -> Outcome<()> {
        self.bury().await;
        while self.hands.iter().filter(|hand| !hand.is_frozen).count() < count {
            self.hire()?;
        }
        Ok(())
    }

    /// Removes those that have ended by themselves: poison has killed them.
    async fn bury(&mut self) {
        let mut place = 0;
        while let Some(hand) = self.hands.get_mut(place) {
            if matches!(hand.child.try_wait(), Ok(None)) {
                place += 1;
                continue;
            }
            let hand = self.hands.remove(place);
            self.suicides += 1;
            self.note_blow();
            let _ = hand.reader.await;
        }
    }

    /// `SIGKILL`, to one of those that are awake.
    pub(crate) async fn kill_any(&mut self, rng: &mut fastrand::Rng) {
        let Some(place) = self.any_awake(rng) else {
            return;
        };
        let mut hand = self.hands.remove(place);
        self.kills += 1;
        self.note_blow();
        // It may have ended by itself just now.
        let _ = hand.child.kill().await;
        let _ = hand.reader.await;
    }

    /// `SIGSTOP`, to one of those that are awake. Returns its name.
    pub(crate) fn freeze_any(&mut self, rng: &mut fastrand::Rng) -> Option<String> {
        let place = self.any_awake(rng)?;
        self.freezes += 1;
        self.note_blow();
        let hand = self.hands.get_mut(place)?;
        hand.is_frozen = true;
        hand.send(Signal::STOP);
        Some(hand.name.clone())
    }

    /// `SIGCONT`, to all that are frozen, or to one.
    pub(crate) fn thaw(&mut self, name: Option<&str>) {
        for hand in &mut self.hands {
            if name.is_none_or(|name| name == hand.name) {
                hand.is_frozen = false;
                hand.send(Signal::CONT);
            }
        }
    }

    /// Notes that all that anybody has on its hands may be done again.
    pub(crate) fn note_blow_to_all(&self) {
        for _ in &self.hands {
            self.note_blow();
        }
    }

    fn note_blow(&self) {
        self.ledger.books().blows += HANDS;
    }

    fn any_awake(&self, rng: &mut fastrand::Rng) -> Option<usize> {
        let awake: Vec<usize> = (0..self.hands.len())
            .filter(|place| self.hands.get(*place).is_some_and(|hand| !hand.is_frozen))
            .collect();
        rng.choice(awake)
    }

    /// Has all drain and end. Whether they did in time.
    pub(crate) async fn dismiss_all(&mut self) -> bool {
        let mut in_time = true;
        for hand in std::mem::take(&mut self.hands) {
            in_time &= end(hand).await;
        }
        in_time
    }
}

async fn end(mut hand: Hand) -> bool {
    if let Some(input) = &mut hand.child.stdin {
        let _ = input.write_all(format!("{STOP}\n").as_bytes()).await;
        let _ = input.flush().await;
    }
    let in_time = tokio::time::timeout(STOP_LIMIT, hand.child.wait()).await;
    if in_time.is_err() {
        let _ = hand.child.kill().await;
    }
    let _ = hand.reader.await;
    matches!(in_time, Ok(Ok(status)) if status.success())
}
