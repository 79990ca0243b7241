// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The murders. Each scenario hurts until its time is over; healing is not its business.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use crate::arena::{Arena, Outcome, Way};
use crate::worker::{LEASE, Release};

/// A kind of murder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Workers kill themselves at one point after the other.
    Points,
    /// Workers are killed at random.
    Workers,
    /// The server is killed with all its processes, and started again.
    Server,
    /// Server processes are ended.
    Backends,
    /// The way to the server is cut, stalls, and loses answers.
    Proxy,
    /// Workers are frozen beyond their lease, and thaw.
    Zombies,
    /// The leader's connection is ended, or the leader killed.
    Leader,
    /// All goes through a pooler in transaction mode, which is killed as well.
    Pooler,
    /// Workers of version 1 are replaced by workers of versions 1 and 2.
    Upgrade,
    /// Everything but the pooler.
    Mix,
}

/// In the order of the rounds. Dying at points comes more often, as there are many of them.
const ROTATION: [Scenario; 12] = [
    Scenario::Points,
    Scenario::Zombies,
    Scenario::Server,
    Scenario::Proxy,
    Scenario::Points,
    Scenario::Workers,
    Scenario::Leader,
    Scenario::Pooler,
    Scenario::Points,
    Scenario::Backends,
    Scenario::Upgrade,
    Scenario::Mix,
];

/// How long a worker may take to come to the point where it is to die.
const POINT_LIMIT: Duration = Duration::from_millis(2_500);

/// How many workers there are at a time.
const CREW: usize = 3;
/// How many runs a worker is to hold when it is frozen, and how often that is tried.
const RUNS_OF_A_ZOMBIE: i64 = 2;
const FREEZES_MAX: u32 = 40;

impl Scenario {
    pub(crate) const ALL: [Self; 10] = [
        Self::Points,
        Self::Workers,
        Self::Server,
        Self::Backends,
        Self::Proxy,
        Self::Zombies,
        Self::Leader,
        Self::Pooler,
        Self::Upgrade,
        Self::Mix,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Workers => "workers",
            Self::Server => "server",
            Self::Backends => "backends",
            Self::Proxy => "proxy",
            Self::Zombies => "zombies",
            Self::Leader => "leader",
            Self::Pooler => "pooler",
            Self::Upgrade => "upgrade",
            Self::Mix => "mix",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name)
    }

    /// The one of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        ROTATION[usize::try_from(seed % ROTATION.len() as u64).unwrap_or_default()]
    }

    /// How many rounds of this scenario the seeds below this one have.
    pub(crate) fn ordinal(self, seed: u64) -> u64 {
        let of_rotation =
            |part: &[Self]| part.iter().filter(|other| **other == self).count() as u64;
        let length = ROTATION.len() as u64;
        let begun = usize::try_from(seed % length).unwrap_or_default();
        seed / length * of_rotation(&ROTATION) + of_rotation(&ROTATION[..begun])
    }

    pub(crate) fn way(self) -> Way {
        match self {
            Self::Proxy | Self::Mix => Way::Proxy,
            Self::Pooler => Way::Pooler,
            _ => Way::Direct,
        }
    }

    /// Whether version 2 of a workflow is wanted.
    pub(crate) fn has_two(self) -> bool {
        matches!(self, Self::Upgrade | Self::Mix)
    }
}

/// One round's murderer.
pub(crate) struct Murderer<'a, 'b> {
    pub(crate) arena: &'a mut Arena<'b>,
    pub(crate) rng: Rng,
    pub(crate) until: Instant,
    /// Where workers are to die, in turn.
    pub(crate) plan: Vec<(String, u32)>,
}

impl Murderer<'_, '_> {
    pub(crate) async fn hurt(&mut self, scenario: Scenario) -> Outcome<()> {
        let release = if scenario == Scenario::Upgrade {
            Release::Old
        } else {
            Release::New
        };
        for _ in 0..CREW {
            let dies_at = (scenario == Scenario::Points)
                .then(|| self.plan.pop())
                .flatten();
            self.arena.hire(release, dies_at)?;
        }
        match scenario {
            Scenario::Points => self.points().await,
            Scenario::Upgrade => self.upgrade().await,
            scenario => {
                self.pause(600, 900).await;
                while Instant::now() < self.until {
                    self.strike(scenario).await?;
                }
                Ok(())
            }
        }
    }

    async fn strike(&mut self, scenario: Scenario) -> Outcome<()> {
        match scenario {
            Scenario::Server => self.server().await?,
            Scenario::Backends => {
                self.arena.crew.note_blow_to_all();
                let count = self.rng.i32(1..6);
                self.arena.end_backends(None, count).await;
                self.pause(100, 500).await;
            }
            Scenario::Proxy => self.proxy().await,
            Scenario::Zombies => self.zombie().await,
            Scenario::Leader => self.leader().await?,
            Scenario::Pooler if self.rng.u8(0..4) == 0 => {
                self.arena.crew.note_blow_to_all();
                if let Some(pooler) = &self.arena.pooler {
                    pooler.restart().await?;
                }
                self.pause(300, 800).await;
            }
            Scenario::Mix => {
                const ANY: [Scenario; 6] = [
                    Scenario::Workers,
                    Scenario::Server,
                    Scenario::Backends,
                    Scenario::Proxy,
                    Scenario::Zombies,
                    Scenario::Leader,
                ];
                let any = ANY[self.rng.usize(..ANY.len())];
                Box::pin(self.strike(any)).await?;
            }
            Scenario::Workers | Scenario::Pooler | Scenario::Points | Scenario::Upgrade => {
                self.worker().await?;
                self.pause(200, 700).await;
            }
        }
        self.arena.crew.bury();
        while self.arena.crew.len() < CREW {
            self.arena.hire(Release::New, None)?;
        }
        Ok(())
    }

    /// Kills any worker, and has another take its place.
    async fn worker(&mut self) -> Outcome<()> {
        let place = self.rng.usize(..self.arena.crew.len().max(1));
        if place < self.arena.crew.len() {
            self.arena.crew.kill(place).await;
        }
        self.arena.hire(Release::New, None)
    }

    async fn server(&mut self) -> Outcome<()> {
        self.arena.crew.note_blow_to_all();
        self.arena.server.kill().await?;
        self.pause(0, 700).await;
        self.arena.server.restart().await?;
        self.pause(1_200, 2_500).await;
        Ok(())
    }

    async fn proxy(&mut self) {
        self.arena.crew.note_blow_to_all();
        match self.rng.u8(0..5) {
            0 => self.arena.proxy.cut(),
            1 => {
                self.arena.proxy.delay(Duration::MAX);
                self.pause(500, 3_000).await;
                self.arena.proxy.cut();
                self.arena.proxy.delay(Duration::ZERO);
            }
            2 => {
                self.arena.proxy.block();
                self.arena.proxy.cut();
                self.pause(100, 600).await;
                self.arena.proxy.unblock();
            }
            3 => {
                for _ in 0..6 {
                    self.arena.proxy.drop_after_commit();
                    self.pause(50, 120).await;
                }
            }
            // Whatever is asked is done, and nobody hears of it.
            _ => {
                self.arena.proxy.mute();
                self.pause(20, 200).await;
                self.arena.proxy.cut();
                self.arena.proxy.unmute();
            }
        }
        self.pause(200, 600).await;
    }

    async fn zombie(&mut self) {
        let place = self.rng.usize(..self.arena.crew.len().max(1));
        if place < self.arena.crew.len() {
            self.freeze_at_work(place).await;
            if self.rng.bool() {
                self.until_lost(place).await;
            } else {
                let over = u64::try_from(LEASE.as_millis()).unwrap_or(u64::MAX);
                self.pause(over + 300, over + 1_200).await;
            }
            self.arena.crew.thaw();
        }
        self.pause(300, 600).await;
    }

    /// A zombie is of no use that has nothing to write when it wakes up: one that holds no run goes on,
    /// and is frozen again a little later.
    async fn freeze_at_work(&mut self, place: usize) {
        for _ in 0..FREEZES_MAX {
            self.arena.crew.freeze(place);
            let name = self.arena.crew.names().swap_remove(place);
            if self.arena.holds(&name).await >= RUNS_OF_A_ZOMBIE {
                break;
            }
            self.arena.crew.thaw();
            self.pause(3, 20).await;
        }
        self.arena.crew.freeze(place);
        self.arena.crew.note_blow_to(place);
    }

    /// A moment after what a frozen worker held was taken from it: the others are just about to have it.
    async fn until_lost(&mut self, place: usize) {
        let name = self.arena.crew.names().swap_remove(place);
        let limit = Instant::now() + LEASE * 3;
        while self.arena.holds(&name).await > 0 && Instant::now() < limit {
            self.pause(1, 5).await;
        }
        self.pause(0, 40).await;
    }

    async fn leader(&mut self) -> Outcome<()> {
        if let Some((name, backend)) = self.arena.leader().await {
            if self.rng.bool() {
                self.arena.crew.note_blow_to_all();
                self.arena.end_backends(Some(backend), 1).await;
            } else {
                self.arena.crew.kill_named(&name).await;
            }
        }
        self.pause(1_000, 2_500).await;
        Ok(())
    }

    /// A worker that died at its point is followed by one that dies at the next.
    async fn points(&mut self) -> Outcome<()> {
        while Instant::now() < self.until {
            self.arena.crew.bury();
            if let Some(hand) = self.arena.crew.oldest()
                && hand.born_at.elapsed() > POINT_LIMIT
            {
                if hand.dies_when_it_stops() {
                    self.arena.crew.dismiss(0).await;
                } else {
                    self.arena.crew.kill(0).await;
                }
            }
            while self.arena.crew.len() < CREW {
                let dies_at = self.plan.pop();
                self.arena.hire(Release::New, dies_at)?;
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// One after the other goes, in order or not, and the new release comes.
    async fn upgrade(&mut self) -> Outcome<()> {
        let rest = self.until.saturating_duration_since(Instant::now());
        let step = rest / u32::try_from(CREW + 1).unwrap_or(1);
        for _ in 0..CREW {
            sleep(step).await;
            if self.rng.bool() {
                self.arena.crew.kill(0).await;
            } else {
                self.arena.crew.dismiss(0).await;
            }
            self.arena.hire(Release::New, None)?;
        }
        sleep(step).await;
        Ok(())
    }

    async fn pause(&mut self, milliseconds_min: u64, milliseconds_max: u64) {
        let milliseconds = self.rng.u64(milliseconds_min..milliseconds_max);
        sleep(Duration::from_millis(milliseconds)).await;
    }
}
