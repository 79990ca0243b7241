// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One world: its processes live and die on one thread, in an order that the seed gives, by a clock
//! that leaps from one thing to the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use forktex_flow::planted::PlantedFault;
use forktex_flow::simulation::{RunRecord, seed_identifiers};
use forktex_flow::{Flow, InMemoryFlow, InstanceId};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::callers;
use crate::cast::{Alone, InTurn, Often, OnTime, Stage};
use crate::checker::are_at_rest;
use crate::chronicle::Chronicle;
use crate::history::{History, Lot, What};
use crate::panics;
use crate::plan::{Mishap, Plan, ProcessPlan, Ticking};
use crate::wire::Wire;

/// When the clock of every world begins.
const BEGINNING: OffsetDateTime = datetime!(2030-01-01 00:00 UTC);

/// How long a world may take to come to rest after the last fault.
const REST_LIMIT: Duration = Duration::from_mins(5);

/// How often it is looked whether it has.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// A process that lives.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) wire: Arc<Wire>,
    pub(crate) flow: InMemoryFlow,
}

/// What all of a world have in common.
pub(crate) struct World {
    pub(crate) chronicle: Arc<Chronicle>,
    /// Holds the tables, and has no driver.
    pub(crate) anchor: Process,
    /// The processes that live, by their places.
    living: Mutex<Vec<Option<Process>>>,
    schedule: Option<Ticking>,
}

/// Plays the world of a seed.
pub(crate) fn play(seed: u64, planted: Option<PlantedFault>) -> Result<History, String> {
    let mut random = Rng::with_seed(seed);
    fastrand::seed(random.u64(..));
    seed_identifiers();
    panics::forget();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true);
    #[cfg(tokio_unstable)]
    runtime.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
    let runtime = runtime
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let mut history = runtime.block_on(whole(seed, random, planted))?;
    drop(runtime);
    history.panics = panics::taken();
    Ok(history)
}

async fn whole(
    seed: u64,
    mut random: Rng,
    planted: Option<PlantedFault>,
) -> Result<History, String> {
    let plan = Plan::of(&mut random);
    let chronicle = Chronicle::new(random, plan.hazards);
    let world = World::begin(&plan, chronicle, planted).await?;
    let slots = plan.processes.iter().map(|process| process.slots).collect();
    let mut processes = Vec::new();
    for (place, process) in plan.processes.into_iter().enumerate() {
        processes.push(tokio::spawn(live(Arc::clone(&world), place, process)));
    }
    let callers = callers::spawn(&world, plan.runs, plan.schedule, &plan.fires_at);
    tokio::time::sleep(plan.trouble).await;
    world.chronicle.end_trouble();
    for caller in callers {
        // A caller that panicked is told of by its panic.
        let _ = caller.await;
    }
    if let Some(schedule) = world.schedule {
        // Where the processes never came up, there is none yet.
        let _ = world
            .anchor
            .flow
            .schedule(schedule.workflow())
            .disable()
            .await;
    }
    let is_at_rest = world.until_at_rest().await;
    let runs = world.anchor.flow.records();
    tokio::time::sleep(LOOK_INTERVAL).await;
    let later = world.anchor.flow.records();
    let schedules = world.anchor.flow.schedules().await.unwrap_or_default();
    for process in processes {
        process.abort();
    }
    Ok(History {
        seed,
        moments: world.chronicle.take(),
        slots,
        runs,
        later,
        schedules,
        is_at_rest,
        panics: Vec::new(),
    })
}

impl World {
    async fn begin(
        plan: &Plan,
        chronicle: Arc<Chronicle>,
        planted: Option<PlantedFault>,
    ) -> Result<Arc<Self>, String> {
        let wire = Wire::new(0, Arc::clone(&chronicle));
        let stage = Stage {
            wire: Arc::clone(&wire),
            chronicle: Arc::clone(&chronicle),
        };
        let mut builder = Flow::in_memory()
            .starting_at(BEGINNING)
            .on_line(Arc::clone(&wire) as _)
            .resource(stage);
        if let Some(fault) = planted {
            builder = builder.planted(fault);
        }
        let flow = builder.build().await.map_err(|error| error.to_string())?;
        let living = plan.processes.iter().map(|_| None).collect();
        Ok(Arc::new(Self {
            chronicle,
            anchor: Process { wire, flow },
            living: Mutex::new(living),
            schedule: plan.schedule,
        }))
    }

    async fn boot(&self, number: u32, plan: &ProcessPlan) -> Option<Process> {
        let wire = Wire::new(number, Arc::clone(&self.chronicle));
        let stage = Stage {
            wire: Arc::clone(&wire),
            chronicle: Arc::clone(&self.chronicle),
        };
        let mut builder = Flow::in_memory()
            .beside(&self.anchor.flow)
            .on_line(Arc::clone(&wire) as _)
            .resource(stage)
            .slots(plan.slots)
            .drain_timeout(Duration::from_secs(2))
            .lease(plan.lease);
        builder = match self.schedule {
            None => builder,
            Some(Ticking::Often) => builder.register::<Often>(),
            Some(Ticking::Alone) => builder.register::<Alone>(),
            Some(Ticking::InTurn) => builder.register::<InTurn>(),
            Some(Ticking::OnTime) => builder.register::<OnTime>(),
        };
        let flow = builder.build().await.ok()?;
        self.chronicle.note(number, What::Process(Lot::Boots));
        Some(Process { wire, flow })
    }

    /// A process that lives, or the one without a driver.
    pub(crate) fn any_process(&self) -> Process {
        let living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        let living: Vec<&Process> = living.iter().flatten().collect();
        let place = self
            .chronicle
            .draw(|random, _| random.usize(..=living.len()));
        let process = living.get(place).copied().unwrap_or(&self.anchor);
        process.clone()
    }

    fn set_living(&self, place: usize, process: Option<Process>) {
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = living.get_mut(place) {
            *slot = process;
        }
    }

    /// Whether the world came to rest in time.
    async fn until_at_rest(&self) -> bool {
        let looks = REST_LIMIT.as_secs() / LOOK_INTERVAL.as_secs();
        for _ in 0..looks {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if are_at_rest(&self.anchor.flow.records()) {
                return true;
            }
        }
        false
    }

    /// A run that lives, as the tables have it.
    pub(crate) fn record(&self, run: InstanceId) -> Option<RunRecord> {
        self.anchor.flow.record(run)
    }
}

/// The lives of a process, one after another, until the world ends.
async fn live(world: Arc<World>, place: usize, plan: ProcessPlan) {
    tokio::time::sleep(plan.boots_at).await;
    let mut mishaps = plan.mishaps.clone().into_iter().peekable();
    // More lives than a world has time for.
    for life in 0..1_000_u32 {
        let number = number_of(place, life);
        let Some(process) = world.boot(number, &plan).await else {
            return;
        };
        tokio::select! {
            () = process.wire.died() => {}
            () = work(&world, place, &process, &mut mishaps) => {}
        }
        world.set_living(place, None);
        drop(process);
        let pause = world.chronicle.draw(|random, _| random.u64(50..4_000));
        let is_troubled = world.chronicle.is_troubled();
        let pause = if is_troubled { pause } else { 50 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Works until it is stopped.
async fn work(
    world: &World,
    place: usize,
    process: &Process,
    mishaps: &mut std::iter::Peekable<std::vec::IntoIter<(Duration, Mishap)>>,
) {
    // A service that does not come up is started again by whoever runs it.
    while process.flow.start_driver().await.is_err() {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let number = process.wire.process;
    world.chronicle.note(number, What::Process(Lot::Works));
    world.set_living(place, Some(process.clone()));
    loop {
        let Some((at, _)) = mishaps.peek() else {
            return std::future::pending().await;
        };
        let wait = at.saturating_sub(world.chronicle.elapsed());
        tokio::time::sleep(wait).await;
        let mishap = mishaps.next();
        if !world.chronicle.is_troubled() {
            continue;
        }
        match mishap {
            None => {}
            Some((_, Mishap::Dies)) => process.wire.die(),
            Some((_, Mishap::Freezes(time))) => process.wire.freeze(time),
            Some((_, Mishap::LosesHeartbeats(time))) => process.wire.stop_heart(time),
            Some((_, Mishap::Drains)) => {
                world.chronicle.note(number, What::Process(Lot::Drains));
                // Where it fails, the leases run out.
                let _ = process.flow.stop_driver().await;
                world.chronicle.note(number, What::Process(Lot::Stops));
                process.wire.die();
            }
        }
    }
}

/// The number of a process: its place from 1, and ten for each life before this.
fn number_of(place: usize, life: u32) -> u32 {
    u32::try_from(place + 1).unwrap_or_default() + life * 10
}

/// The place of a process of a number; none of the one without a driver.
pub(crate) fn place_of(number: u32) -> Option<usize> {
    usize::try_from((number % 10).checked_sub(1)?).ok()
}
