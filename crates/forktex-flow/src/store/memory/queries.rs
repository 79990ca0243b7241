// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Lists of runs in memory.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{DbError, Direction, Value as DbValue};
use serde_json::Value;
use time::OffsetDateTime;

use super::MemoryStore;
use super::active::Place;
use super::tables::Tables;
use crate::identifier::{InstanceId, NodeName};
use crate::instance::list::{InstanceFilter, InstanceSummary};
use crate::instance::{Instance, InstanceStatus};
use crate::store::StoredInstance;
use crate::store::query::{PageRequest, QueryStore};

impl Tables {
    fn filtered<'a>(&'a self, filter: &'a InstanceFilter) -> impl Iterator<Item = &'a Instance> {
        self.instances
            .values()
            .filter(|run| self.matches(filter, run))
    }

    fn matches(&self, filter: &InstanceFilter, run: &Instance) -> bool {
        let is_of =
            |name: &Option<String>, known: &str| name.as_ref().is_none_or(|name| name == known);
        is_of(&filter.workflow, run.workflow_name.as_str())
            && is_of(&filter.namespace, run.namespace.as_str())
            && filter.version.is_none_or(|version| version == run.version)
            && is_among(filter.statuses.as_ref(), &run.status)
            && is_among(filter.triggers.as_ref(), &run.triggered_by)
            && filter.since.is_none_or(|since| run.created_at >= since)
            && filter.until.is_none_or(|until| run.created_at < until)
            && filter
                .parent
                .is_none_or(|parent| run.parent_id == Some(parent))
            && filter
                .retry_of
                .is_none_or(|source| run.retry_of == Some(source))
            && filter
                .input
                .as_ref()
                .is_none_or(|part| contains(&run.input, part))
            && filter.metadata.as_ref().is_none_or(|part| {
                part.as_object().is_some_and(|part| {
                    let has =
                        |(key, part)| run.metadata.get(key).is_some_and(|it| contains(it, part));
                    part.iter().all(has)
                })
            })
            && filter
                .current_nodes
                .as_ref()
                .is_none_or(|nodes| self.is_at(run, nodes))
            && (!filter.without_retry || !self.has_retry(run.instance_id))
    }

    fn has_retry(&self, source: InstanceId) -> bool {
        self.instances
            .values()
            .any(|run| run.retry_of == Some(source))
    }

    /// Where a run is: as of when it began to wait, or the stage that its journal names last.
    fn is_at(&self, run: &Instance, nodes: &[String]) -> bool {
        let Some(active) = self.active.get(run.instance_id) else {
            return false;
        };
        if run.status != InstanceStatus::Running {
            return false;
        }
        if let (Place::Waiting { .. }, Some(current)) = (active.place(), &active.current_nodes) {
            let names = current.iter().map(NodeName::as_str);
            return names
                .into_iter()
                .any(|name| nodes.iter().any(|node| node == name));
        }
        let journal = self.journals.get(&run.instance_id);
        let stage = journal.and_then(|journal| journal.stages.last()).copied();
        let stage = usize::try_from(stage.unwrap_or(0)).ok();
        let definition = self.definitions.get(&active.definition_id);
        let members = definition.zip(stage);
        members
            .and_then(|(definition, stage)| definition.stages.get(stage))
            .is_some_and(|members| members.iter().any(|member| nodes.contains(member)))
    }

    fn paged<'a>(&'a self, request: &'a PageRequest) -> Vec<&'a Instance> {
        let beyond = match request.direction {
            Direction::Ascending => Ordering::Greater,
            Direction::Descending => Ordering::Less,
        };
        let key = |run: &Instance| (request.sort.value(run), run.instance_id);
        let after = match request.after.as_deref() {
            Some([value, DbValue::Uuid(id)]) => Some((value.clone(), InstanceId(*id))),
            _ => None,
        };
        let mut runs: Vec<&Instance> = self
            .filtered(&request.filter)
            .filter(|run| {
                let is_beyond = |after| compare(&key(run), after) == beyond;
                after.as_ref().is_none_or(is_beyond)
            })
            .collect();
        runs.sort_by(|one, other| {
            let order = compare(&key(one), &key(other));
            if beyond == Ordering::Less {
                order.reverse()
            } else {
                order
            }
        });
        runs.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        runs
    }

    fn sum_up(&self, filter: &InstanceFilter) -> InstanceSummary {
        let runs: Vec<&Instance> = self.filtered(filter).collect();
        let mut by_status = BTreeMap::new();
        for run in &runs {
            *by_status.entry(run.status).or_insert(0) += 1;
        }
        let took = runs
            .iter()
            .filter_map(|run| Some((run.finished_at? - run.started_at?).unsigned_abs()));
        let mut durations: Vec<Duration> = took.collect();
        durations.sort();
        let count = u32::try_from(durations.len()).unwrap_or(u32::MAX);
        let rank = (durations.len() * 95).div_ceil(100);
        InstanceSummary {
            total: runs.len() as u64,
            by_status,
            avg_duration: durations.iter().sum::<Duration>().checked_div(count),
            p95_duration: rank
                .checked_sub(1)
                .and_then(|rank| durations.get(rank))
                .copied(),
            oldest: runs.iter().map(|run| run.created_at).min(),
            newest: runs.iter().map(|run| run.created_at).max(),
        }
    }
}

fn is_among<T: PartialEq>(wanted: Option<&Vec<T>>, value: &T) -> bool {
    wanted.is_none_or(|wanted| wanted.contains(value))
}

/// The order of the sort's values, then of the identifiers.
fn compare(one: &(DbValue, InstanceId), other: &(DbValue, InstanceId)) -> Ordering {
    let order = match (&one.0, &other.0) {
        (DbValue::Timestamp(one), DbValue::Timestamp(other)) => one.cmp(other),
        (DbValue::Text(one), DbValue::Text(other)) => one.cmp(other),
        _ => Ordering::Equal,
    };
    order.then(one.1.cmp(&other.1))
}

/// Whether a value contains another one, as `@>` of jsonb has it below the topmost level.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part))),
        (Value::Array(whole), Value::Array(part)) => part
            .iter()
            .all(|part| whole.iter().any(|whole| contains(whole, part))),
        (Value::Number(whole), Value::Number(part)) => {
            whole == part || (whole.as_f64() == part.as_f64() && whole.is_f64() != part.is_f64())
        }
        _ => whole == part,
    }
}

#[async_trait]
impl QueryStore for MemoryStore {
    async fn page(&self, request: &PageRequest) -> Result<Vec<StoredInstance>, DbError> {
        let tables = self.tables();
        let runs = tables.paged(request).into_iter();
        Ok(runs
            .filter_map(|run| tables.read(run.instance_id))
            .collect())
    }

    async fn page_of_ids(
        &self,
        request: &PageRequest,
    ) -> Result<Vec<(OffsetDateTime, InstanceId)>, DbError> {
        let tables = self.tables();
        let runs = tables.paged(request).into_iter();
        Ok(runs.map(|run| (run.created_at, run.instance_id)).collect())
    }

    async fn count_runs(
        &self,
        filter: &InstanceFilter,
        up_to: Option<u64>,
    ) -> Result<u64, DbError> {
        let count = self.tables().filtered(filter).count() as u64;
        Ok(up_to.map_or(count, |up_to| count.min(up_to)))
    }

    async fn now(&self) -> Result<OffsetDateTime, DbError> {
        // Later than all that was accepted until then.
        Ok(self.change().tick())
    }

    async fn sum_up(&self, filter: &InstanceFilter) -> Result<InstanceSummary, DbError> {
        Ok(self.tables().sum_up(filter))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::contains;

    #[test]
    fn a_value_contains_what_jsonb_says_it_contains() {
        let whole = json!({"a": {"b": [1, 2, {"c": 3}]}, "d": 1.0});
        for part in [
            json!({}),
            json!({"a": {}}),
            json!({"a": {"b": []}}),
            json!({"a": {"b": [2, 1, 1]}}),
            json!({"a": {"b": [{"c": 3}]}}),
            json!({"d": 1}),
        ] {
            assert!(contains(&whole, &part), "{part}");
        }
        for part in [
            json!({"a": null}),
            json!({"a": {"b": 1}}),
            json!({"a": {"b": [3]}}),
            json!({"d": "1"}),
        ] {
            assert!(!contains(&whole, &part), "{part}");
        }
    }
}
