// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fires the schedules that are due, by the database's clock.
//!
//! The leader fires at the tick. Another process stands in only for what is still due a while later:
//! during a deployment the leader may not have the newest version. Two that fire one tick are harmless,
//! since the tick and its run are one transaction that is fenced by the tick.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use forktex_db::{CipherErrorKind, DbError};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::compile::CompiledWorkflow;
use crate::identifier::{DefinitionId, InstanceId, Namespace};
use crate::schedule::firing::decide;
use crate::schedule::input::MakeInput;
use crate::state::payload::{self, SEALED_TEXT_MARK};
use crate::store::schedules::{DueSchedule, FiringToWrite, ScheduleStore};
use crate::store::{NewRun, Pulse};
use crate::telemetry;

/// How long a schedule must be due before a process that does not lead fires it.
const STAND_IN_AFTER: time::Duration = time::Duration::seconds(2);

/// The most schedules that one look fires; more wait for the next pulse.
const DUE_MAX: i64 = 100;

/// How many schedules are fired at the same time.
const AT_ONCE: usize = 4;

/// How long the service's input function may take.
const INPUT_LIMIT: Duration = Duration::from_secs(30);

/// The most characters of an error that are kept.
const ERROR_CHARACTERS_MAX: usize = 2_000;

/// What the firer needs of its process.
pub(crate) struct Schedules {
    pub(crate) store: Arc<dyn ScheduleStore>,
    /// The workflows of this process that have a schedule.
    pub(crate) workflows: HashMap<DefinitionId, Arc<CompiledWorkflow>>,
    pub(crate) input_bytes_max: usize,
    /// Tells the workers that a run is ready.
    pub(crate) on_started: Box<dyn Fn() + Send + Sync>,
}

pub(super) async fn run(
    schedules: Schedules,
    mut pulses: watch::Receiver<Pulse>,
    stop: CancellationToken,
) {
    if schedules.workflows.is_empty() {
        return;
    }
    let mut due_at: Option<Instant> = None;
    loop {
        let due = async {
            match due_at {
                Some(due_at) => tokio::time::sleep_until(due_at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = pulses.changed() => {
                if changed.is_err() {
                    return;
                }
                due_at = due_in(&pulses.borrow_and_update()).map(|wait| Instant::now() + wait);
            }
            () = due => {
                due_at = None;
                match stop.run_until_cancelled(schedules.fire_due()).await {
                    None => return,
                    // There may be more than one look fires. Each moves what it fires on, so this ends.
                    Some(Ok(true)) => due_at = Some(Instant::now()),
                    // What is still due is due in the next pulse as well.
                    Some(Ok(false)) => {}
                    Some(Err(error)) => {
                        tracing::warn!(%error, "cannot fire schedules; trying again");
                    }
                }
            }
        }
    }
}

/// How long until this process should fire, if that is before the next pulses.
fn due_in(pulse: &Pulse) -> Option<Duration> {
    let grace = if pulse.leading {
        time::Duration::ZERO
    } else {
        STAND_IN_AFTER
    };
    let wait = pulse.schedule_due_in?.saturating_add(grace);
    (wait < time::Duration::MINUTE).then(|| Duration::try_from(wait).unwrap_or_default())
}

impl Schedules {
    /// Fires what is due now. Returns whether a schedule was moved on.
    async fn fire_due(&self) -> Result<bool, DbError> {
        let definitions: Vec<DefinitionId> = self.workflows.keys().copied().collect();
        let due = self.store.due_schedules(&definitions, DUE_MAX).await?;
        // One that fails must not hold up the others.
        let firings = stream::iter(due).map(|due| async move {
            self.fire(&due).await.unwrap_or_else(|error| {
                let workflow = &due.workflow_name;
                tracing::warn!(%workflow, %error, "cannot fire a schedule; trying again");
                false
            })
        });
        let fired: Vec<bool> = firings.buffer_unordered(AT_ONCE).collect().await;
        Ok(fired.contains(&true))
    }

    async fn fire(&self, due: &DueSchedule) -> Result<bool, DbError> {
        let Some(workflow) = self.workflows.get(&due.definition_id) else {
            return Ok(false);
        };
        let Some(declared) = &workflow.schedule else {
            return Ok(false);
        };
        let name = &due.workflow_name;
        // The table's words hold: another process may have brought others for the same version.
        let schedule = match due.stored.read() {
            Ok(schedule) => schedule,
            Err(error) => {
                tracing::warn!(workflow = %name, %error, "left to a process of a later release");
                return Ok(false);
            }
        };
        let firing = decide(&schedule, &due.standing);
        let made = make_inputs(&declared.input, firing.ticks.len(), self.input_bytes_max).await;
        let (runs, error) = match made {
            Ok(inputs) => {
                let pairs = firing.ticks.iter().zip(inputs);
                let runs = pairs.map(|(tick, input)| new_run(workflow, due, *tick, input));
                (runs.collect(), None)
            }
            Err(error) => (Vec::new(), Some(error)),
        };
        let outcome = self.write(due, &firing, &runs, error.as_deref()).await;
        let started = match outcome {
            // The input is refused by the database, or by the cipher, and would be again.
            Err(refused) if is_refusal(&refused) => {
                let error = kept(&refused.to_string());
                self.write(due, &firing, &[], Some(&error)).await?
            }
            outcome => outcome?,
        };
        match (started, error) {
            (None, _) => tracing::debug!(workflow = %name, "another process fired this tick"),
            (Some(_), Some(error)) => {
                tracing::warn!(workflow = %name, error, "a tick has no run: its input failed");
            }
            (Some(0), None) => {}
            (Some(count), None) => {
                telemetry::runs_started(name, "schedule", count as u64);
                tracing::debug!(workflow = %name, count, "fired");
                (self.on_started)();
            }
        }
        Ok(started.is_some())
    }

    async fn write(
        &self,
        due: &DueSchedule,
        firing: &crate::schedule::firing::Firing,
        runs: &[NewRun],
        error: Option<&str>,
    ) -> Result<Option<usize>, DbError> {
        let firing = FiringToWrite {
            due,
            firing,
            runs,
            error,
        };
        self.store.fire_schedule(firing).await
    }
}

/// Calls the service's function away from the async threads, so that one that blocks or panics harms
/// nobody.
pub(crate) async fn make_inputs(
    make: &MakeInput,
    count: usize,
    bytes_max: usize,
) -> Result<Vec<Value>, String> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let make = Arc::clone(make);
    let making = away(move || {
        let one = |_| {
            let input = make()?;
            payload::check(&input, bytes_max).map_err(|error| error.to_string())?;
            Ok(input)
        };
        (0..count).map(one).collect::<Result<Vec<Value>, String>>()
    });
    let outcome = match tokio::time::timeout(INPUT_LIMIT, making).await {
        Ok(Ok(inputs)) => inputs,
        Ok(Err(error)) => Err(match error.try_into_panic() {
            Ok(panic) => format!("the input function panicked: {}", panic_text(&*panic)),
            Err(_) => "the input function was given up".to_owned(),
        }),
        Err(_) => Err(format!("the input function took more than {INPUT_LIMIT:?}")),
    };
    outcome.map_err(|error| kept(&error))
}

/// Does it on a thread that may block; in a simulation on this one, in an order that its seed gives.
fn away<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    #[cfg(feature = "simulation")]
    if crate::identifier::are_seeded() {
        return tokio::spawn(async move { make() });
    }
    tokio::task::spawn_blocking(make)
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// An error as it can be stored: short, and without NUL.
fn kept(error: &str) -> String {
    let characters = error
        .chars()
        .filter(|character| !['\0', SEALED_TEXT_MARK].contains(character));
    characters.take(ERROR_CHARACTERS_MAX).collect()
}

fn is_refusal(error: &DbError) -> bool {
    match error {
        DbError::Sealed { cause, .. } => cause.kind() == CipherErrorKind::Refused,
        error => matches!(error, DbError::Invalid { .. }),
    }
}

/// The run of one tick. Its key is the tick, which no second run can have.
fn new_run(
    workflow: &CompiledWorkflow,
    due: &DueSchedule,
    tick: OffsetDateTime,
    input: Value,
) -> NewRun {
    let tick = text(tick);
    let key = format!("schedule/{tick}");
    scheduled_run(workflow, due.definition_id, input, tick, Some(key))
}

/// A run that a schedule starts, for a tick or by hand.
pub(crate) fn scheduled_run(
    workflow: &CompiledWorkflow,
    definition_id: DefinitionId,
    input: Value,
    tick: String,
    idempotency_key: Option<String>,
) -> NewRun {
    NewRun {
        instance_id: InstanceId::generate(),
        definition_id,
        namespace: Namespace::default(),
        workflow_name: workflow.name.clone(),
        version: workflow.version,
        input,
        metadata: Map::from_iter([("scheduled_for".to_owned(), Value::String(tick))]),
        triggered_by: "schedule".to_owned(),
        idempotency_key,
        priority: 0,
        worker_id: None,
        deadline: None,
        birth: None,
    }
}

/// A tick in RFC 3339.
pub(crate) fn text(tick: OffsetDateTime) -> String {
    // Only years beyond 9999 have no such text, and no tick has them.
    tick.format(&Rfc3339)
        .unwrap_or_else(|_| tick.unix_timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse(leading: bool, due_in_ms: Option<i64>) -> Pulse {
        Pulse {
            leading,
            schedule_due_in: due_in_ms.map(time::Duration::milliseconds),
            ..Pulse::default()
        }
    }

    #[test]
    fn the_leader_fires_at_the_tick_and_the_others_only_what_is_overdue() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(due_in(&pulse(true, Some(1_000))), seconds(1));
        assert_eq!(due_in(&pulse(true, Some(-5_000))), seconds(0));
        assert_eq!(due_in(&pulse(false, Some(1_000))), seconds(3));
        assert_eq!(due_in(&pulse(false, Some(-1_000))), seconds(1));
        assert_eq!(due_in(&pulse(false, Some(-2_500))), seconds(0));
        assert_eq!(due_in(&pulse(true, None)), None);
        assert_eq!(due_in(&pulse(true, Some(i64::MAX / 2))), None);
    }

    #[tokio::test]
    async fn an_input_that_fails_is_told_and_never_taken_for_one() {
        let make = |make: fn() -> Result<Value, String>| -> MakeInput { Arc::new(make) };
        let good = make(|| Ok(serde_json::json!({"a": 1})));
        assert_eq!(make_inputs(&good, 2, 100).await.unwrap().len(), 2);
        let large = make_inputs(&good, 1, 3).await.unwrap_err();
        assert!(large.contains("bytes"), "{large}");
        let failed = make(|| Err("no\0 manifest".to_owned()));
        assert_eq!(
            make_inputs(&failed, 1, 100).await.unwrap_err(),
            "no manifest"
        );
        let panicked = make(|| std::panic::panic_any("out of coffee"));
        let told = make_inputs(&panicked, 1, 100).await.unwrap_err();
        assert_eq!(told, "the input function panicked: out of coffee");
    }
}
