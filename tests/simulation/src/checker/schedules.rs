// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Runs that the clock started.

use std::collections::{BTreeMap, HashSet};

use forktex_flow::CatchUp;
use forktex_flow::simulation::RunRecord;
use forktex_flow::{InstanceId, Overlap, ScheduleInfo};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Findings, Guarantee};
use crate::history::{Answer, History, Request};

/// How far ticks are apart.
const PERIOD_SECONDS: i64 = 4;

pub(super) fn check(history: &History, findings: &mut Findings) {
    let by_hand = fired_by_hand(history);
    for schedule in &history.schedules {
        let mut by_tick: BTreeMap<OffsetDateTime, Vec<&RunRecord>> = BTreeMap::new();
        for run in &history.runs {
            if run.instance.workflow_name == schedule.workflow_name
                && run.instance.triggered_by == "schedule"
                && !by_hand.contains(&run.instance.instance_id)
                && let Some(tick) = tick(run)
            {
                by_tick.entry(tick).or_default().push(run);
            }
        }
        each(&by_tick, findings);
        if schedule.catch_up == CatchUp::All {
            gaps(&by_tick, schedule, findings);
        }
        if schedule.overlap != Overlap::Allow {
            overlaps(&by_tick, findings);
        }
    }
}

/// Runs that callers know to have fired by hand, which may be at the very time of a tick.
fn fired_by_hand(history: &History) -> HashSet<InstanceId> {
    let fired = history
        .requests()
        .filter_map(|(_, request, answer)| match (request, answer) {
            (Request::FireNow { .. }, Some((_, Answer::Done(run)))) => *run,
            _ => None,
        });
    fired.collect()
}

/// The tick of a run; none of one that was fired by hand between ticks.
pub(super) fn tick(run: &RunRecord) -> Option<OffsetDateTime> {
    let text = run.instance.metadata.get("scheduled_for")?.as_str()?;
    let tick = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let is_tick = tick.nanosecond() == 0 && tick.unix_timestamp() % PERIOD_SECONDS == 0;
    is_tick.then_some(tick)
}

fn each(by_tick: &BTreeMap<OffsetDateTime, Vec<&RunRecord>>, findings: &mut Findings) {
    for (tick, runs) in by_tick {
        for run in runs {
            let instance = &run.instance;
            findings.expect(
                runs.len() == 1,
                Guarantee::Schedules,
                instance.instance_id,
                || format!("the tick {tick} has {} runs", runs.len()),
            );
            let is_due = instance.created_at >= *tick;
            findings.expect(is_due, Guarantee::Schedules, instance.instance_id, || {
                format!(
                    "the run of tick {tick} came before it, at {}",
                    instance.created_at
                )
            });
        }
    }
}

fn gaps(
    by_tick: &BTreeMap<OffsetDateTime, Vec<&RunRecord>>,
    schedule: &ScheduleInfo,
    findings: &mut Findings,
) {
    let ticks: Vec<&OffsetDateTime> = by_tick.keys().collect();
    for pair in ticks.windows(2) {
        if let [earlier, later] = pair
            && (**later - **earlier).whole_seconds() != PERIOD_SECONDS
        {
            let workflow = &schedule.workflow_name;
            let detail =
                format!("{workflow} has no run for the ticks between {earlier} and {later}");
            findings.add(Guarantee::Schedules, None, detail);
        }
    }
}

fn overlaps(by_tick: &BTreeMap<OffsetDateTime, Vec<&RunRecord>>, findings: &mut Findings) {
    let mut runs: Vec<&RunRecord> = by_tick.values().flatten().copied().collect();
    runs.sort_by_key(|run| run.instance.created_at);
    for pair in runs.windows(2) {
        if let [earlier, later] = pair {
            let finished_at = earlier.instance.finished_at;
            let is_over = finished_at.is_some_and(|at| at <= later.instance.created_at);
            findings.expect(
                is_over,
                Guarantee::Schedules,
                later.instance.instance_id,
                || format!("it began while {} lived", earlier.instance.instance_id),
            );
        }
    }
}
