// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Faults that are planted in the store in memory.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::{MemoryStore, Shared};
use crate::instance::journal::Entry;
use crate::planted::PlantedFault;
use crate::store::Checkpoint;

/// How long the two halves of what should be one transaction are apart.
const GAP: Duration = Duration::from_millis(5);

impl Shared {
    /// Has the store be wrong in a way.
    pub(super) fn plant(&mut self, fault: Option<PlantedFault>) {
        self.planted = fault;
        let tables = self.tables.get_mut();
        let tables = tables.unwrap_or_else(std::sync::PoisonError::into_inner);
        tables.is_unfenced = fault == Some(PlantedFault::UnfencedWrite);
    }
}

impl MemoryStore {
    /// An empty store that is wrong in a way.
    pub(crate) fn with_fault(now: OffsetDateTime, fault: Option<PlantedFault>) -> Self {
        let mut shared = Shared::at(now);
        shared.plant(fault);
        Self(Arc::new(shared))
    }

    /// Where that fault is planted, commits a part of a checkpoint in a transaction of its own, before
    /// the rest.
    pub(super) async fn commit_a_part_first(&self, checkpoint: &Checkpoint) {
        let takes_effect = {
            let mut tables = self.change();
            let run = tables.active.get(checkpoint.instance_id);
            if run.is_none_or(|run| run.epoch != checkpoint.epoch) {
                return;
            }
            match self.0.planted {
                Some(PlantedFault::CheckpointOutsideTransaction) => {
                    for child in &checkpoint.children {
                        if !tables.instances.contains_key(&child.instance_id) {
                            tables.start(child);
                        }
                    }
                    !checkpoint.children.is_empty()
                }
                Some(PlantedFault::SignalConsumedFirst) => {
                    let messages = checkpoint.entries.iter().filter_map(Entry::message);
                    let messages: Vec<_> = messages.collect();
                    for message in &messages {
                        tables
                            .inbox
                            .change(*message, |message| message.is_taken = true);
                    }
                    !messages.is_empty()
                }
                _ => false,
            }
        };
        if takes_effect {
            tokio::time::sleep(GAP).await;
        }
    }
}
