// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The durable calls of running bodies: records them, answers them from the tables, and tells what the
//! run waits for when every body waits.

use std::time::Duration;

use forktex_db::DbError;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::newborn::newborns;
use super::port::CallRequest;
use super::{Course, Execution, UNREADABLE_REST, hand_back};
use crate::ctx::call::{Ask, Reply};
use crate::identifier::InstanceId;
use crate::instance::journal::{Answer, Call, Entry};
use crate::instance::outcome::Outcome;
use crate::store::{Letter, NewRun, RestsOn};
use crate::transition::Event;
use crate::worker::Held;

/// How often the tables are looked at for a body that waits while another is running.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a run rests whose inbox could not be read.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// The calls that have no answer yet.
#[derive(Default)]
pub(super) struct PendingCalls {
    calls: Vec<PendingCall>,
    /// When the tables are to be looked at; at once where it is not given.
    next_look: Option<Instant>,
}

struct PendingCall {
    request: CallRequest,
    needs: Needs,
}

/// What a call waits for.
#[derive(Clone)]
enum Needs {
    Time(OffsetDateTime),
    Signal {
        name: String,
        until: Option<OffsetDateTime>,
    },
    Children {
        children: Vec<InstanceId>,
        fails_fast: bool,
        /// How many were alive when last looked at.
        alive: usize,
    },
}

impl PendingCalls {
    /// A body has ended, and its calls with it.
    pub(super) fn forget(&mut self, member: usize) {
        self.calls.retain(|call| call.request.member != member);
    }

    fn waits(&self, member: usize) -> bool {
        self.calls.iter().any(|call| call.request.member == member)
    }

    fn push(&mut self, request: CallRequest, needs: Needs) {
        self.calls.push(PendingCall { request, needs });
        self.next_look = None;
    }

    fn next_time(&self) -> Option<OffsetDateTime> {
        self.calls
            .iter()
            .filter_map(|call| match &call.needs {
                Needs::Time(due_at) => Some(*due_at),
                Needs::Signal { until, .. } => *until,
                Needs::Children { .. } => None,
            })
            .min()
    }

    /// What wakes the run when every body waits, if any does: messages, and a time.
    pub(super) fn rests_on(&self) -> Option<(RestsOn, Option<OffsetDateTime>)> {
        if self.calls.is_empty() {
            return None;
        }
        let mut signals = Vec::new();
        let mut children: Option<(usize, bool)> = None;
        for call in &self.calls {
            match &call.needs {
                Needs::Time(_) => {}
                Needs::Signal { name, .. } => signals.push(name.clone()),
                Needs::Children {
                    alive, fails_fast, ..
                } => {
                    let (count, any_fails_fast) = children.unwrap_or((*alive, false));
                    children = Some((count.min(*alive), any_fails_fast || *fails_fast));
                }
            }
        }
        let on = match children {
            Some((count, fails_fast)) => RestsOn::Child {
                count: u32::try_from(count).unwrap_or(u32::MAX),
                fails_fast,
                signals,
            },
            None if signals.is_empty() => RestsOn::Timer,
            None => RestsOn::Signal(signals),
        };
        Some((on, self.next_time()))
    }
}

impl Execution {
    /// Whether no body goes on without an answer that is not there.
    pub(super) fn all_bodies_wait(&self) -> bool {
        self.requests.is_empty()
            && self
                .in_flight
                .values()
                .all(|body| self.pending_calls.waits(body.member))
    }

    /// How long until something is due while bodies are running.
    pub(super) fn until_next_due(&self) -> Option<Duration> {
        // An attempt that has begun is not due any more, and while a pause is asked for none begins.
        let has_begun = |member| self.in_flight.values().any(|body| body.member == member);
        let next_retry = self.snapshot.next_retry_besides(has_begun);
        let times = [
            self.pending_calls.next_time(),
            next_retry.filter(|_| !self.is_pausing),
            self.deadline(),
        ];
        let time = times.into_iter().flatten().min();
        let until_time = time.map(|time| self.until(time));
        let until_look = self
            .pending_calls
            .next_look
            .map(|look| look.saturating_duration_since(Instant::now()));
        let until_look = until_look.filter(|_| !self.pending_calls.calls.is_empty());
        [until_time, until_look].into_iter().flatten().min()
    }

    /// Takes in a call: gives the answer that is recorded, records it, or keeps it as pending.
    pub(super) async fn take_call(&mut self, held: &mut Held, request: CallRequest) -> Course {
        if request.reply.is_closed() {
            // Whoever asked is gone, and another may be in its place.
            return Course::GoesOn;
        }
        if let Ask::Commit { transaction, delta } = request.ask {
            // The body ends by it, and needs no reply.
            return self
                .commit_transaction(held, request.member, *transaction, delta)
                .await;
        }
        let Some(member) = self.snapshot.member(request.member) else {
            return Course::GoesOn;
        };
        let recorded = member.answers.get(&request.key).cloned();
        match (&request.ask, recorded) {
            (Ask::Record(answer), None) => {
                let answer = answer.clone();
                self.record_and_reply(held, request, answer, Vec::new())
                    .await
            }
            (Ask::Sleep(duration), None) => {
                let until = self.clock.now() + *duration;
                let key = request.key.clone();
                let answer = Answer::Until(until);
                let course = self
                    .record(held, request.member, key, answer, Vec::new())
                    .await;
                self.pending_calls.push(request, Needs::Time(until));
                course
            }
            (Ask::Sleep(_), Some(Answer::Until(until))) => {
                self.pending_calls.push(request, Needs::Time(until));
                Course::GoesOn
            }
            (Ask::Signal { name, timeout }, None) => {
                let (name, timeout) = (name.clone(), *timeout);
                self.wait_for_signal(held, request, name, timeout).await
            }
            (Ask::Spawn(spawn), None) => match newborns(&held.shared, &self.context, spawn) {
                Ok(children) => {
                    let ids = children.iter().map(|child| child.instance_id).collect();
                    self.record_and_reply(held, request, Answer::Children(ids), children)
                        .await
                }
                Err(failure) => {
                    // A body that is gone needs no answer; so everywhere below.
                    let _ = request.reply.send(Err(failure));
                    Course::GoesOn
                }
            },
            (
                Ask::Outcomes {
                    children,
                    fails_fast,
                },
                _,
            ) => {
                let needs = Needs::Children {
                    children: children.clone(),
                    fails_fast: *fails_fast,
                    alive: children.len(),
                };
                self.pending_calls.push(request, needs);
                Course::GoesOn
            }
            // Taken by value above.
            (Ask::Commit { .. }, None) => Course::GoesOn,
            (_, Some(answer)) => {
                let _ = request.reply.send(Ok(Reply::Answer(answer)));
                Course::GoesOn
            }
        }
    }

    async fn wait_for_signal(
        &mut self,
        held: &mut Held,
        request: CallRequest,
        name: String,
        timeout: Option<Duration>,
    ) -> Course {
        let mut course = Course::GoesOn;
        let mut until = None;
        if let Some(timeout) = timeout {
            let key = format!("{} until", request.key);
            let member = self.snapshot.member(request.member);
            let recorded = member.and_then(|member| member.answers.get(&key));
            if let Some(Answer::Until(due_at)) = recorded {
                until = Some(*due_at);
            } else {
                let due_at = self.clock.now() + timeout;
                let answer = Answer::Until(due_at);
                course = self
                    .record(held, request.member, key, answer, Vec::new())
                    .await;
                until = Some(due_at);
            }
        }
        self.pending_calls
            .push(request, Needs::Signal { name, until });
        course
    }

    /// Commits the answer of a call, with the runs that it spawns.
    async fn record(
        &mut self,
        held: &mut Held,
        member: usize,
        key: String,
        answer: Answer,
        children: Vec<NewRun>,
    ) -> Course {
        let call = Call { key, answer };
        let entries = self.decide(Event::Called { member, call });
        if entries.is_empty() {
            return Course::GoesOn;
        }
        let has_children = !children.is_empty();
        let mut checkpoint = self.checkpoint(held, entries);
        checkpoint.children = children;
        let course = self.commit_checkpoint(held, checkpoint).await;
        if has_children {
            held.shared.wake.notify_one();
            held.shared.announcer.ready();
        }
        course
    }

    async fn record_and_reply(
        &mut self,
        held: &mut Held,
        request: CallRequest,
        answer: Answer,
        children: Vec<NewRun>,
    ) -> Course {
        let key = request.key.clone();
        let course = self
            .record(held, request.member, key, answer.clone(), children)
            .await;
        if let Course::GoesOn = course {
            let _ = request.reply.send(Ok(Reply::Answer(answer)));
        }
        course
    }

    /// Answers the pending calls whose answer is there.
    pub(super) async fn answer_calls(&mut self, held: &mut Held) -> Course {
        let now = self.clock.now();
        let is_look_due = self
            .pending_calls
            .next_look
            .is_none_or(|look| look <= Instant::now());
        for call in std::mem::take(&mut self.pending_calls.calls) {
            let course = match &call.needs {
                Needs::Time(due_at) if *due_at <= now => {
                    let answer = Answer::Until(*due_at);
                    let _ = call.request.reply.send(Ok(Reply::Answer(answer)));
                    Course::GoesOn
                }
                Needs::Signal { until, .. }
                    if is_look_due || until.is_some_and(|until| until <= now) =>
                {
                    self.answer_signal(held, call).await
                }
                Needs::Children { .. } if is_look_due => self.answer_outcomes(held, call).await,
                _ => {
                    self.pending_calls.calls.push(call);
                    Course::GoesOn
                }
            };
            let Course::GoesOn = course else {
                return course;
            };
        }
        if is_look_due {
            self.pending_calls.next_look = Some(Instant::now() + LOOK_INTERVAL);
        }
        Course::GoesOn
    }

    async fn answer_signal(&mut self, held: &mut Held, call: PendingCall) -> Course {
        let Needs::Signal { name, until } = &call.needs else {
            return Course::GoesOn;
        };
        let letter = match self.oldest_signal(held, std::slice::from_ref(name)).await {
            Ok(letter) => letter,
            Err(course) => return course,
        };
        let is_in_time = |sent_at| until.is_none_or(|until| sent_at <= until);
        let answer = match letter {
            Some(letter) if is_in_time(letter.sent_at) => Answer::Signal {
                message: letter.message,
                payload: letter.payload,
            },
            _ if until.is_some_and(|until| until <= self.clock.now()) => Answer::TimedOut,
            _ => {
                self.pending_calls.calls.push(call);
                return Course::GoesOn;
            }
        };
        self.record_and_reply(held, call.request, answer, Vec::new())
            .await
    }

    async fn answer_outcomes(&mut self, held: &mut Held, mut call: PendingCall) -> Course {
        let Needs::Children {
            children,
            fails_fast,
            alive,
        } = &mut call.needs
        else {
            return Course::GoesOn;
        };
        let outcomes = match held.shared.store.outcomes(children).await {
            Ok(outcomes) => outcomes,
            Err(error) => return self.unread(held, &error).await,
        };
        *alive = outcomes.iter().filter(|outcome| outcome.is_alive()).count();
        let has_failed = *fails_fast && outcomes.iter().any(Outcome::is_failure);
        if *alive > 0 && !has_failed {
            self.pending_calls.calls.push(call);
            return Course::GoesOn;
        }
        if *alive > 0 {
            if let Err(error) = held.shared.store.wish_end(self.instance, children).await {
                return self.unread(held, &error).await;
            }
            held.shared.deliver_soon();
        }
        let _ = call.request.reply.send(Ok(Reply::Outcomes(outcomes)));
        Course::GoesOn
    }

    /// The oldest signal of one of the names; none are looked for where none is named.
    pub(super) async fn oldest_signal(
        &self,
        held: &Held,
        names: &[String],
    ) -> Result<Option<Letter>, Course> {
        if names.is_empty() {
            return Ok(None);
        }
        match held.shared.store.oldest_signal(self.instance, names).await {
            Ok(letter) => Ok(letter),
            Err(error) => Err(self.unread(held, &error).await),
        }
    }

    async fn unread(&self, held: &Held, error: &DbError) -> Course {
        tracing::warn!(%error, instance = %self.instance, "cannot read what a run waits for; handing it back");
        match error {
            // Reading it again here would not help.
            DbError::Sealed { .. } | DbError::Unreadable { .. } => {
                hand_back(held, &RestsOn::Reader, UNREADABLE_REST).await
            }
            _ => hand_back(held, &RestsOn::Worker, PAUSE_AFTER_ERROR).await,
        }
    }
}

/// Whether the entries are those of a durable call.
pub(super) fn are_of_a_call(entries: &[Entry]) -> bool {
    !entries.is_empty()
        && entries
            .iter()
            .all(|entry| matches!(entry, Entry::Called { .. }))
}
