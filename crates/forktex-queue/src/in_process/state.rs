// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The maps, and the one way in which a job comes into a place and out of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use time::OffsetDateTime;

use crate::backend::UniqueLock;
use crate::identifier::{JobId, JobName, LeaseToken, QueueName};
use crate::limit::Limit;
use crate::record::{DeadReason, JobRecord, JobStatus};
use crate::unique::UniqueMode;

/// The head start that a point of priority gives, in microseconds.
const PRIORITY_HEAD_START: i64 = 30 * 1_000_000;

/// Microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    pub(super) fn of(date: OffsetDateTime) -> Self {
        let microseconds = date.unix_timestamp_nanos() / 1_000;
        Self(i64::try_from(microseconds).unwrap_or(i64::MAX))
    }

    pub(super) fn as_date(self) -> OffsetDateTime {
        let nanoseconds = i128::from(self.0) * 1_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    pub(super) fn after(self, time: Duration) -> Self {
        let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(time))
    }

    /// How long after `earlier` it is; nothing where it is before it.
    pub(super) fn since(self, earlier: Self) -> Duration {
        let time = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(time).unwrap_or_default())
    }

    /// The score of a job that is ready from then on: the lower goes first.
    pub(super) fn score(self, priority: i16) -> i64 {
        let head_start = i64::from(priority) * PRIORITY_HEAD_START;
        self.0.saturating_sub(head_start)
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stand {
    Scheduled,
    Ready,
    Held,
    Running {
        token: LeaseToken,
        started_at: Moment,
        lease_until: Moment,
    },
    Dead {
        reason: DeadReason,
        died_at: Moment,
    },
}

impl Stand {
    pub(super) fn status(self) -> JobStatus {
        match self {
            Self::Scheduled => JobStatus::Scheduled,
            Self::Ready => JobStatus::Ready,
            Self::Held => JobStatus::Held,
            Self::Running { .. } => JobStatus::Running,
            Self::Dead { .. } => JobStatus::Dead,
        }
    }
}

/// A job as it is kept.
pub(super) struct Kept {
    pub(super) id: JobId,
    pub(super) name: JobName,
    pub(super) queue: QueueName,
    pub(super) tenant: String,
    pub(super) payload: Vec<u8>,
    pub(super) priority: i16,
    pub(super) unique: Option<UniqueLock>,
    pub(super) limit: Option<Limit>,
    pub(super) attempts: u16,
    pub(super) attempts_max: u16,
    pub(super) timeout: Duration,
    pub(super) trace_parent: Option<String>,
    pub(super) enqueued_at: Moment,
    pub(super) due_at: Moment,
    pub(super) score: i64,
    pub(super) is_cancelling: bool,
    pub(super) note: Option<String>,
    pub(super) stand: Stand,
}

impl Kept {
    /// Makes it due at `due`: ready where that has come.
    pub(super) fn make_due(&mut self, due: Moment, now: Moment) {
        self.due_at = due;
        self.score = due.score(self.priority);
        self.stand = if due <= now {
            Stand::Ready
        } else {
            Stand::Scheduled
        };
    }

    /// The key of its limit.
    pub(super) fn limit_key(&self) -> Option<&str> {
        self.limit.as_ref().map(|limit| limit.key.as_str())
    }

    pub(super) fn record(&self) -> JobRecord {
        let (started_at, lease_until) = match self.stand {
            Stand::Running {
                started_at,
                lease_until,
                ..
            } => (Some(started_at.as_date()), Some(lease_until.as_date())),
            _ => (None, None),
        };
        let (dead_reason, died_at) = match self.stand {
            Stand::Dead { reason, died_at } => (Some(reason), Some(died_at.as_date())),
            _ => (None, None),
        };
        JobRecord {
            id: self.id,
            name: self.name.clone(),
            queue: self.queue.clone(),
            tenant: self.tenant.clone(),
            status: self.stand.status(),
            payload: self.payload.clone(),
            priority: self.priority,
            attempts: self.attempts,
            attempts_max: self.attempts_max,
            timeout: self.timeout,
            unique_key: self.unique.as_ref().map(|lock| lock.key.clone()),
            limit_key: self.limit_key().map(str::to_owned),
            enqueued_at: self.enqueued_at.as_date(),
            due_at: self.due_at.as_date(),
            started_at,
            lease_until,
            is_cancelling: self.is_cancelling,
            note: self.note.clone(),
            dead_reason,
            died_at,
        }
    }
}

/// The jobs of one queue by where they stand. The order in each set is that in which they leave it.
#[derive(Default)]
pub(super) struct Places {
    pub(super) is_paused: bool,
    pub(super) scheduled: BTreeSet<(Moment, JobId)>,
    /// By tenant, then by score. No set is empty.
    pub(super) ready: BTreeMap<String, BTreeSet<(i64, JobId)>>,
    /// By the key of the limit, then by score. No set is empty.
    pub(super) held: HashMap<String, BTreeSet<(i64, JobId)>>,
    pub(super) running: BTreeSet<(Moment, JobId)>,
    pub(super) dead: BTreeSet<(Moment, JobId)>,
    /// The tenants with ready jobs, the next one first; one may have none any more.
    pub(super) turns: VecDeque<String>,
    /// Those in `turns`.
    pub(super) seated: HashSet<String>,
    pub(super) limits: HashMap<String, LimitUse>,
}

impl Places {
    pub(super) fn has_jobs(&self) -> bool {
        let Self {
            scheduled,
            ready,
            held,
            running,
            dead,
            ..
        } = self;
        !(scheduled.is_empty()
            && ready.is_empty()
            && held.is_empty()
            && running.is_empty()
            && dead.is_empty())
    }

    /// Gives a tenant with ready jobs the last turn, unless it has one.
    pub(super) fn seat(&mut self, tenant: &str) {
        if self.seated.insert(tenant.to_owned()) {
            self.turns.push_back(tenant.to_owned());
        }
    }
}

/// How much of a limit is in use.
#[derive(Default)]
pub(super) struct LimitUse {
    /// The jobs of the key that run.
    pub(super) running: u32,
    /// When jobs of the key started, oldest first.
    pub(super) starts: VecDeque<Moment>,
    /// How long starts are remembered: the longest time of a rate.
    pub(super) remembered: Duration,
}

impl LimitUse {
    /// When a job may start by this rate: now, or when the oldest start in its way is past.
    pub(super) fn allowed_at(&self, count: u32, per: Duration, now: Moment) -> Moment {
        let position = self.starts.len().checked_sub(count as usize);
        let in_the_way = position.and_then(|position| self.starts.get(position));
        in_the_way.map_or(now, |start| start.after(per).max(now))
    }

    pub(super) fn forget(&mut self, now: Moment) {
        while let Some(first) = self.starts.front()
            && first.after(self.remembered) <= now
        {
            self.starts.pop_front();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running == 0 && self.starts.is_empty()
    }
}

/// The key of a unique lock: it holds within its queue.
pub(super) type UniqueKey = (QueueName, String);

/// Who has a unique lock, and until when, where a time is set.
pub(super) struct Holder {
    pub(super) id: JobId,
    pub(super) until: Option<Moment>,
}

/// All that is kept.
#[derive(Default)]
pub(super) struct State {
    pub(super) jobs: BTreeMap<JobId, Kept>,
    pub(super) queues: BTreeMap<QueueName, Places>,
    pub(super) holders: HashMap<UniqueKey, Holder>,
    /// The locks with a time, by when they end.
    pub(super) lock_ends: BTreeSet<(Moment, UniqueKey)>,
    /// The last tick that was fired, by schedule.
    pub(super) ticks: HashMap<String, OffsetDateTime>,
    is_work_new: bool,
}

impl State {
    /// Whether jobs came since the last call that may be taken, now or later.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_work_new)
    }

    pub(super) fn tell_news(&mut self) {
        self.is_work_new = true;
    }

    /// Puts a job where it stands.
    pub(super) fn enter(&mut self, job: Kept) {
        let places = self.queues.entry(job.queue.clone()).or_default();
        match job.stand {
            Stand::Scheduled => {
                places.scheduled.insert((job.due_at, job.id));
                self.is_work_new = true;
            }
            Stand::Ready => {
                let ready = places.ready.entry(job.tenant.clone()).or_default();
                ready.insert((job.score, job.id));
                places.seat(&job.tenant);
                self.is_work_new = true;
            }
            Stand::Held => {
                let key = job.limit_key().unwrap_or_default().to_owned();
                places
                    .held
                    .entry(key)
                    .or_default()
                    .insert((job.score, job.id));
            }
            Stand::Running { lease_until, .. } => {
                places.running.insert((lease_until, job.id));
                if let Some(key) = job.limit_key() {
                    places.limits.entry(key.to_owned()).or_default().running += 1;
                }
            }
            Stand::Dead { died_at, .. } => {
                places.dead.insert((died_at, job.id));
            }
        }
        self.jobs.insert(job.id, job);
    }

    /// Takes a job out of its place.
    pub(super) fn leave(&mut self, id: JobId) -> Option<Kept> {
        let job = self.jobs.remove(&id)?;
        let places = self.queues.entry(job.queue.clone()).or_default();
        match job.stand {
            Stand::Scheduled => {
                places.scheduled.remove(&(job.due_at, id));
            }
            Stand::Ready => {
                if let Some(ready) = places.ready.get_mut(&job.tenant) {
                    ready.remove(&(job.score, id));
                    if ready.is_empty() {
                        places.ready.remove(&job.tenant);
                    }
                }
            }
            Stand::Held => {
                let key = job.limit_key().unwrap_or_default();
                if let Some(held) = places.held.get_mut(key) {
                    held.remove(&(job.score, id));
                    if held.is_empty() {
                        places.held.remove(key);
                    }
                }
            }
            Stand::Running { lease_until, .. } => {
                places.running.remove(&(lease_until, id));
                let used = job.limit_key().and_then(|key| places.limits.get_mut(key));
                if let Some(used) = used {
                    used.running = used.running.saturating_sub(1);
                }
            }
            Stand::Dead { died_at, .. } => {
                places.dead.remove(&(died_at, id));
            }
        }
        Some(job)
    }

    /// Lets the first job go that waits for the limit of a job which has left.
    pub(super) fn let_go(&mut self, queue: &QueueName, key: Option<&str>) {
        let first = key.and_then(|key| {
            let places = self.queues.get(queue)?;
            places.held.get(key)?.first().map(|(_, id)| *id)
        });
        if let Some(mut job) = first.and_then(|id| self.leave(id)) {
            job.stand = Stand::Ready;
            self.enter(job);
        }
    }

    /// The job that has a lock, unless the lock's time is over.
    pub(super) fn holder(&self, key: &UniqueKey, now: Moment) -> Option<JobId> {
        let holder = self.holders.get(key)?;
        let is_over = holder.until.is_some_and(|until| until <= now);
        (!is_over).then_some(holder.id)
    }

    /// Takes a lock that nobody has.
    pub(super) fn lock(&mut self, key: UniqueKey, mode: UniqueMode, id: JobId, now: Moment) {
        let until = match mode {
            UniqueMode::For(time) => Some(now.after(time)),
            UniqueMode::UntilStarted | UniqueMode::UntilDone | UniqueMode::Forever => None,
        };
        if let Some(until) = until {
            self.lock_ends.insert((until, key.clone()));
        }
        let before = self.holders.insert(key.clone(), Holder { id, until });
        if let Some(until) = before.and_then(|before| before.until) {
            self.lock_ends.remove(&(until, key));
        }
    }

    /// Frees the lock of a job that has left for good, or has started where `is_start`.
    pub(super) fn unlock(&mut self, job: &Kept, is_start: bool) {
        let Some(lock) = &job.unique else {
            return;
        };
        let is_freed = match lock.mode {
            UniqueMode::UntilStarted => true,
            UniqueMode::UntilDone => !is_start,
            UniqueMode::For(_) | UniqueMode::Forever => false,
        };
        let key = (job.queue.clone(), lock.key.clone());
        if is_freed && self.holders.get(&key).is_some_and(|held| held.id == job.id) {
            self.holders.remove(&key);
        }
    }
}
