// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The store of a simulation, and all that its tables know of the runs.

use std::sync::Arc;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::inbox::{Inbox, Told};
use super::tables::Tables;
use super::{MemoryStore, Shared};
use crate::identifier::InstanceId;
use crate::instance::event::Event;
use crate::instance::journal::{Entry, Recorded, fold_state, node_records};
use crate::planted::PlantedFault;
use crate::simulation::{JournalLine, Message, RunRecord};

impl MemoryStore {
    /// An empty store, whose time goes on with that of the runtime, and whose leases run out by it.
    pub(crate) fn passing(now: OffsetDateTime, planted: Option<PlantedFault>) -> Self {
        let mut shared = Shared::at(now);
        shared.begun = Some((now, Instant::now()));
        shared.plant(planted);
        Self(Arc::new(shared))
    }

    /// All runs, in the order of their identifiers.
    pub(crate) fn records(&self) -> Vec<RunRecord> {
        let tables = self.tables();
        let runs = tables.instances.keys().copied().collect::<Vec<_>>();
        runs.into_iter()
            .filter_map(|run| tables.whole_record(run))
            .collect()
    }

    /// One run.
    pub(crate) fn record(&self, run: InstanceId) -> Option<RunRecord> {
        self.tables().whole_record(run)
    }
}

impl Tables {
    fn whole_record(&self, run: InstanceId) -> Option<RunRecord> {
        let stored = self.read(run)?;
        let mut instance = stored.instance;
        // A journal that cannot be folded shows as a state that is not what it should be.
        instance.state = fold_state(instance.input.clone(), &stored.journal).unwrap_or_default();
        instance.nodes = node_records(&stored.journal);
        Some(RunRecord {
            instance,
            journal: stored.journal.into_iter().map(line).collect(),
            inbox: self.inbox.signals(run),
        })
    }
}

impl Inbox {
    fn signals(&self, run: InstanceId) -> Vec<Message> {
        let messages = self.of(run);
        let signals = messages.filter_map(|(id, message)| {
            let Told::Signal { key, payload } = &message.told else {
                return None;
            };
            Some(Message {
                id: id.0,
                name: message.name.clone(),
                key: key.clone(),
                payload: payload.clone(),
                is_taken: message.is_taken,
            })
        });
        signals.collect()
    }
}

fn line(recorded: Recorded) -> JournalLine {
    JournalLine {
        message: recorded.entry.message().map(|message| message.0),
        place: place(&recorded.entry),
        event: Event::of(recorded),
    }
}

fn place(entry: &Entry) -> Option<(u32, u16)> {
    match entry {
        Entry::NodeCompleted { at, .. }
        | Entry::Compensated { at, .. }
        | Entry::Signalled { at, .. } => Some((at.superstep, at.member)),
        _ => None,
    }
}
