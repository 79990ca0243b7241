// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Watches a run from outside: the ledger tells who started what, the record what is committed.
//!
//! It polls, as any other process could, and writes nothing.

use std::collections::HashMap;
use std::time::Duration;

use forktex::db::Db;
use forktex::flow::{Flow, Instance, InstanceId, NodeName, NodeRecord, NodeStatus};
use time::OffsetDateTime;

use super::deadline::Deadline;
use super::screen::{Line, Screen, State};
use super::worker_process::WorkerProcess;
use crate::error::Error;
use crate::ledger::{self, Entry, Event};

const POLL: Duration = Duration::from_millis(100);

/// What has been seen of one run.
pub(super) struct Watch<'a> {
    db: &'a Db,
    flow: &'a Flow,
    run: InstanceId,
    deadline: Deadline,
    entries: Vec<Entry>,
    /// The status and attempt last seen of each node.
    records: HashMap<String, (NodeStatus, u32)>,
    instance: Option<Instance>,
    /// Changes that are to be shown when all before them are known.
    pending: Vec<Line>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(db: &'a Db, flow: &'a Flow, run: InstanceId, deadline: Deadline) -> Self {
        Self {
            db,
            flow,
            run,
            deadline,
            entries: Vec::new(),
            records: HashMap::new(),
            instance: None,
            pending: Vec::new(),
        }
    }

    /// Shows what changes, until `is_reached` says so.
    pub(super) async fn until(
        &mut self,
        screen: &mut Screen,
        worker: &mut WorkerProcess,
        awaited: &'static str,
        is_reached: impl Fn(&Self) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        loop {
            let deadline = self.deadline;
            let looked = deadline.bound(awaited, self.look(screen)).await;
            looked.map_err(|_| deadline.error(awaited, self.last_seen()))??;
            if is_reached(self)? {
                let now = ledger::now(self.db).await?;
                return self.show_until(screen, now);
            }
            worker.check()?;
            if deadline.is_over() {
                return Err(deadline.error(awaited, self.last_seen()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn look(&mut self, screen: &mut Screen) -> Result<(), Error> {
        // What is younger may have older neighbours that the reads below do not see yet.
        let complete_until = ledger::now(self.db).await?;
        let instance = self.flow.get(self.run).await?;
        let last = self.entries.last().map_or(0, |entry| entry.id);
        for entry in ledger::entries_after(self.db, self.run, last).await? {
            self.take_entry(entry);
        }
        for record in &instance.nodes {
            self.take_record(record);
        }
        self.instance = Some(instance);
        self.show_until(screen, complete_until)
    }

    fn take_entry(&mut self, entry: Entry) {
        if entry.event == Event::Started {
            let earlier = self.starts_of(&entry.node).next_back();
            let state = match earlier {
                None => State::Running,
                Some(earlier) if earlier.process_id != entry.process_id => State::TakenOver,
                Some(_) => State::Retried,
            };
            self.pending.push(Line {
                at: entry.at,
                node: entry.node.clone(),
                attempt: Some(entry.attempt.cast_unsigned()),
                state,
                process_id: Some(entry.process_id.cast_unsigned()),
                remark: String::new(),
            });
        }
        self.entries.push(entry);
    }

    fn take_record(&mut self, record: &NodeRecord) {
        let node = record.name.to_string();
        let now = (record.status, record.attempt);
        if self.records.insert(node.clone(), now) == Some(now) {
            return;
        }
        let failure = || record.error.as_ref().map(ToString::to_string);
        let (state, remark) = match record.status {
            NodeStatus::Completed => (State::Done, String::new()),
            NodeStatus::Skipped => (State::Skipped, "its condition is false".to_owned()),
            _ => (State::Failed, failure().unwrap_or_default()),
        };
        let ran = (state != State::Skipped).then_some(record.attempt);
        let process = ran.and_then(|_| self.starts_of(&node).next_back());
        let process_id = process.map(|entry| entry.process_id.cast_unsigned());
        self.pending.push(Line {
            at: record.recorded_at,
            node,
            attempt: ran,
            state,
            process_id,
            remark,
        });
    }

    fn show_until(&mut self, screen: &mut Screen, at: OffsetDateTime) -> Result<(), Error> {
        self.pending.sort_by_key(|line| line.at);
        let complete = self.pending.partition_point(|line| line.at <= at);
        for line in self.pending.drain(..complete) {
            screen.line(&line)?;
        }
        Ok(())
    }

    fn starts_of<'b>(&'b self, node: &'b str) -> impl DoubleEndedIterator<Item = &'b Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.event == Event::Started && entry.node == node)
    }

    pub(super) fn has_started(&self, node: &str) -> bool {
        self.starts_of(node).next().is_some()
    }

    pub(super) fn has_finished(&self, node: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.event == Event::Finished && entry.node == node)
    }

    /// Whether the step has finished, by the ledger, and its checkpoint is committed, by the record.
    pub(super) fn is_committed(&self, node: &str) -> bool {
        let record = self.records.get(node);
        self.has_finished(node)
            && record.is_some_and(|(status, _)| *status == NodeStatus::Completed)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.instance
            .as_ref()
            .is_some_and(|instance| instance.status.is_terminal())
    }

    pub(super) fn starts(&self) -> usize {
        self.count(Event::Started)
    }

    pub(super) fn finishes(&self) -> usize {
        self.count(Event::Finished)
    }

    fn count(&self, event: Event) -> usize {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.event == event).count()
    }

    /// The processes in which a node was started, numbered from 1 as they came.
    pub(super) fn processes_that_started(&self, node: &str) -> Vec<usize> {
        let mut seen: Vec<i32> = Vec::new();
        for entry in &self.entries {
            if !seen.contains(&entry.process_id) {
                seen.push(entry.process_id);
            }
        }
        let number = |entry: &Entry| seen.iter().position(|id| *id == entry.process_id);
        self.starts_of(node)
            .filter_map(|entry| number(entry).map(|position| position + 1))
            .collect()
    }

    fn last_seen(&self) -> String {
        let Some(instance) = &self.instance else {
            return "the run was never seen".to_owned();
        };
        let nodes: Vec<&str> = instance
            .current_nodes
            .iter()
            .map(NodeName::as_str)
            .collect();
        let waiting = match &instance.waiting_on {
            Some(waiting) => format!(", waiting on {waiting:?}"),
            None => String::new(),
        };
        format!(
            "the run is {} at {}{waiting}",
            instance.status,
            nodes.join(", ")
        )
    }
}
