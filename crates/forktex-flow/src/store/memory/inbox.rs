// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What runs were told.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use time::OffsetDateTime;

use crate::identifier::InstanceId;
use crate::instance::journal::MessageId;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Signal {
        key: Option<String>,
        payload: Value,
    },
    ChildEnded {
        is_failure: bool,
        is_passed_on: bool,
    },
    EndWished,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) instance_id: InstanceId,
    pub(super) name: String,
    pub(super) told: Told,
    pub(super) sent_at: OffsetDateTime,
    pub(super) is_delivered: bool,
    pub(super) is_taken: bool,
}

impl Message {
    /// Whether a worker has something to do about it; of an owned run there is nothing yet.
    fn is_open(&self) -> bool {
        let is_to_be_passed_on = matches!(
            self.told,
            Told::ChildEnded {
                is_passed_on: false,
                ..
            }
        );
        !self.is_delivered || is_to_be_passed_on
    }
}

/// All messages, in the order of sending.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    last: i64,
    messages: BTreeMap<MessageId, Message>,
    of_run: HashMap<InstanceId, Vec<MessageId>>,
    open: BTreeSet<MessageId>,
}

impl Inbox {
    pub(super) fn add(&mut self, message: Message) {
        self.last += 1;
        let id = MessageId(self.last);
        self.of_run.entry(message.instance_id).or_default().push(id);
        self.open.insert(id);
        self.messages.insert(id, message);
    }

    /// The messages to a run, the oldest first.
    pub(super) fn of(&self, run: InstanceId) -> impl Iterator<Item = (MessageId, &Message)> {
        let ids = self.of_run.get(&run).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.messages.get(id)?)))
    }

    /// Whether a worker has something to do.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Those about which a worker has something to do.
    pub(super) fn open(&self) -> Vec<MessageId> {
        self.open.iter().copied().collect()
    }

    pub(super) fn get(&self, id: MessageId) -> Option<&Message> {
        self.messages.get(&id)
    }

    pub(super) fn change(&mut self, id: MessageId, how: impl FnOnce(&mut Message)) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        how(message);
        if !message.is_open() {
            self.open.remove(&id);
        }
    }

    pub(super) fn remove(&mut self, id: MessageId) {
        self.open.remove(&id);
        if let Some(message) = self.messages.remove(&id)
            && let Some(ids) = self.of_run.get_mut(&message.instance_id)
        {
            ids.retain(|known| *known != id);
        }
    }

    /// Forgets all that a run was told.
    pub(super) fn forget(&mut self, run: InstanceId) {
        for id in self.of_run.remove(&run).into_iter().flatten() {
            self.open.remove(&id);
            self.messages.remove(&id);
        }
    }
}
