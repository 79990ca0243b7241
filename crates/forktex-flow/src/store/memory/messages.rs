// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The inbox in memory.

use std::time::Duration;

use async_trait::async_trait;
use forktex_db::{DbError, Transaction};

use super::active::{ActiveRun, Place, WaitsFor};
use super::inbox::Told;
use super::tables::Tables;
use super::{MemoryStore, refused};
use crate::identifier::InstanceId;
use crate::instance::InstanceStatus;
use crate::instance::journal::{MessageId, fold_state};
use crate::instance::outcome::Outcome;
use crate::signal::MAILBOX_MAX;
use crate::store::message::Delivered;
use crate::store::{Cancelled, Letter, MessageStore, NewSignal, Posted, RestsOn};

/// Why a child ends one of whose siblings failed, where that is enough for its parent.
const SIBLING_FAILED: &str = "a sibling failed";

#[async_trait]
impl MessageStore for MemoryStore {
    async fn post(&self, signal: &NewSignal) -> Result<Posted, DbError> {
        Ok(self.change().post(signal))
    }

    async fn post_in(&self, _: &mut Transaction, _: &NewSignal) -> Result<Posted, DbError> {
        Err(refused(
            "a signal in a transaction needs a flow on a database; this one is in memory",
        ))
    }

    async fn deliver(&self) -> Result<Delivered, DbError> {
        let mut tables = self.change();
        Ok(Delivered {
            readied: tables.pass_turns_on() + tables.deliver(),
            is_more_left: false,
        })
    }

    async fn cancel_children(
        &self,
        grace: Duration,
    ) -> Result<(Vec<InstanceId>, Vec<InstanceId>), DbError> {
        let mut tables = self.change();
        let open = tables.inbox.open().into_iter();
        let wished = open.filter_map(|id| {
            let message = tables.inbox.get(id)?;
            let is_wish = message.told == Told::EndWished;
            is_wish.then(|| (id, message.instance_id, message.name.clone()))
        });
        let wished: Vec<(MessageId, InstanceId, String)> = wished.collect();
        let (mut ended, mut asked) = (Vec::new(), Vec::new());
        for (message, instance, reason) in wished {
            match tables.cancel(instance, &reason, grace) {
                Cancelled::AtOnce => ended.push(instance),
                Cancelled::Requested => asked.push(instance),
                Cancelled::AlreadyTerminal(_) | Cancelled::NotFound => {}
            }
            tables.inbox.remove(message);
        }
        Ok((ended, asked))
    }

    async fn wish_end(&self, parent: InstanceId, children: &[InstanceId]) -> Result<(), DbError> {
        let mut tables = self.change();
        for child in children {
            let is_alive = tables
                .active
                .get(*child)
                .is_some_and(|run| run.parent.as_ref().is_some_and(|(id, _)| *id == parent));
            if is_alive {
                tables.tell(*child, SIBLING_FAILED, Told::EndWished);
            }
        }
        Ok(())
    }

    async fn oldest_signal(
        &self,
        instance: InstanceId,
        names: &[String],
    ) -> Result<Option<Letter>, DbError> {
        let tables = self.tables();
        let mut messages = tables.inbox.of(instance);
        Ok(messages.find_map(|(id, message)| {
            let Told::Signal { payload, .. } = &message.told else {
                return None;
            };
            let is_wanted = !message.is_taken && names.contains(&message.name);
            is_wanted.then(|| Letter {
                message: id,
                signal: message.name.clone(),
                payload: payload.clone(),
                sent_at: message.sent_at,
            })
        }))
    }

    async fn outcomes(&self, instances: &[InstanceId]) -> Result<Vec<Outcome>, DbError> {
        let tables = self.tables();
        instances
            .iter()
            .map(|instance| tables.outcome(*instance))
            .collect()
    }
}

impl Tables {
    fn post(&mut self, signal: &NewSignal) -> Posted {
        let Some(stored) = self.instances.get(&signal.instance_id) else {
            return Posted::NotFound;
        };
        let status = stored.status;
        let mut waiting = 0;
        for (_, message) in self.inbox.of(signal.instance_id) {
            let Told::Signal { key, payload } = &message.told else {
                continue;
            };
            let is_known = key.is_some()
                && *key == signal.idempotency_key
                && message.name == signal.name.as_str();
            if is_known {
                return Posted::Known {
                    is_same: *payload == signal.payload,
                };
            }
            waiting += u32::from(!message.is_taken);
        }
        if status.is_terminal() {
            return Posted::AlreadyTerminal(status);
        }
        if waiting >= MAILBOX_MAX {
            return Posted::Full;
        }
        let told = Told::Signal {
            key: signal.idempotency_key.clone(),
            payload: signal.payload.clone(),
        };
        self.tell(signal.instance_id, signal.name.as_str(), told);
        Posted::Accepted
    }

    /// Readies one sibling for each child that has ended.
    fn pass_turns_on(&mut self) -> u64 {
        let mut readied = 0;
        for id in self.inbox.open() {
            let Some(message) = self.inbox.get(id) else {
                continue;
            };
            let Told::ChildEnded {
                is_passed_on: false,
                ..
            } = &message.told
            else {
                continue;
            };
            let is_of_group = |run: &&ActiveRun| {
                let group = run.parent.as_ref().map(|(_, group)| group);
                group == Some(&message.name)
            };
            let next = self
                .active
                .waiting_for_turn(message.instance_id)
                .find(is_of_group)
                .map(|run| run.instance_id);
            if let Some(next) = next {
                self.active.move_to(next, Place::Ready(self.now));
                readied += 1;
            }
            self.inbox.change(id, |message| {
                if let Told::ChildEnded { is_passed_on, .. } = &mut message.told {
                    *is_passed_on = true;
                }
            });
        }
        readied
    }

    fn deliver(&mut self) -> u64 {
        let mut readied = 0;
        for id in self.inbox.open() {
            let Some(message) = self.inbox.get(id) else {
                continue;
            };
            if message.is_delivered || message.told == Told::EndWished {
                continue;
            }
            let instance = message.instance_id;
            match self.active.get(instance).map(ActiveRun::place) {
                Some(Place::Owned(_)) => continue,
                Some(Place::Waiting {
                    on: WaitsFor::Rest(on),
                    wake_at,
                }) => {
                    let (mut on, wake_at) = (on.clone(), *wake_at);
                    let place = if is_woken(&mut on, &message.name, &message.told) {
                        readied += 1;
                        Place::Ready(self.now)
                    } else {
                        let on = WaitsFor::Rest(on);
                        Place::Waiting { on, wake_at }
                    };
                    self.active.move_to(instance, place);
                }
                _ => {}
            }
            self.inbox.change(id, |message| message.is_delivered = true);
        }
        readied
    }

    fn outcome(&self, instance: InstanceId) -> Result<Outcome, DbError> {
        let Some(stored) = self.instances.get(&instance) else {
            return Ok(Outcome::Gone);
        };
        let missing = || DbError::Unreadable {
            column: Some("journal".to_owned()),
        };
        Ok(match stored.status {
            InstanceStatus::Pending | InstanceStatus::Running => Outcome::Alive,
            InstanceStatus::Completed => {
                let journal = self.entries(instance);
                Outcome::Completed {
                    state: fold_state(stored.input.clone(), journal).map_err(|_| missing())?,
                }
            }
            InstanceStatus::Failed => Outcome::Failed {
                failure: stored.failure.clone().ok_or_else(missing)?,
            },
            InstanceStatus::Cancelled => Outcome::Cancelled {
                reason: stored.cancel_reason.clone().unwrap_or_default(),
            },
        })
    }
}

/// Whether a message wakes a run; counts the end of a child.
fn is_woken(on: &mut RestsOn, name: &str, told: &Told) -> bool {
    match (on, told) {
        (RestsOn::Signal(names), Told::Signal { .. }) => names.iter().any(|known| known == name),
        (RestsOn::Child { signals, .. }, Told::Signal { .. }) => {
            signals.iter().any(|known| known == name)
        }
        (
            RestsOn::Child {
                count, fails_fast, ..
            },
            Told::ChildEnded { is_failure, .. },
        ) => {
            *count = count.saturating_sub(1);
            *count == 0 || (*fails_fast && *is_failure)
        }
        _ => false,
    }
}
