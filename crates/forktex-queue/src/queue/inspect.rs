// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Looking into a queue: one job, lists by cursor, and how much there is.

use std::fmt;
use std::str::FromStr;

use super::Queue;
use crate::backend::{JobFilter, QueueStats};
use crate::error::QueueError;
use crate::identifier::{JobId, JobName, QueueName};
use crate::record::{JobRecord, JobStatus};

/// The most jobs of one page.
pub const PAGE_JOBS_MAX: u32 = 500;

/// The jobs of a page where nothing is said.
const PAGE_JOBS_DEFAULT: u32 = 50;

impl Queue {
    /// A job as it stands; `None` where it never was, is done, or was cancelled. One round trip.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, QueueError> {
        self.backend().find(id).await
    }

    /// A list of jobs, oldest first; say which, and [`fetch`](JobList::fetch) it.
    ///
    /// # Examples
    /// ```
    /// use forktex_queue::{Job, JobStatus, Queue};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Job, Serialize, Deserialize)]
    /// #[job("search.index")]
    /// struct Index { document: u64 }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), forktex_queue::QueueError> {
    /// # let queue = Queue::in_process();
    /// queue.enqueue_many((0..5).map(|document| Index { document })).await?;
    /// let ready = queue.list().status(JobStatus::Ready).name("search.index").limit(3);
    /// let page = ready.fetch(None).await?;
    /// assert_eq!(page.jobs.len(), 3);
    /// assert_eq!(page.jobs[0].decode::<Index>()?.document, 0);
    /// let rest = ready.fetch(page.next).await?;
    /// assert_eq!((rest.jobs.len(), rest.next), (2, None));
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self) -> JobList<'_> {
        JobList {
            queue: self,
            status: None,
            of_queue: None,
            name: None,
            tenant: None,
            limit: PAGE_JOBS_DEFAULT,
        }
    }

    /// The list of jobs that nobody takes until they are replayed. They are kept for 30 days by default.
    pub fn dead_letters(&self) -> JobList<'_> {
        self.list().status(JobStatus::Dead)
    }

    /// How much is in the queue called `queue`. One round trip; it counts what is there.
    ///
    /// # Errors
    /// [`QueueError::InvalidName`]; [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn stats(&self, queue: &str) -> Result<QueueStats, QueueError> {
        let queue = QueueName::new(queue)?;
        self.backend().stats(&queue).await
    }

    /// The queues that have jobs or are paused, by name; at most 1,000. One round trip.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn queues(&self) -> Result<Vec<QueueName>, QueueError> {
        self.backend().queues().await
    }
}

/// Which jobs a list takes; each that is said narrows it.
#[derive(Debug, Clone)]
#[must_use = "a list does nothing until it is fetched"]
pub struct JobList<'q> {
    queue: &'q Queue,
    status: Option<JobStatus>,
    of_queue: Option<String>,
    name: Option<String>,
    tenant: Option<String>,
    limit: u32,
}

/// A part of a list, oldest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page {
    /// The jobs, at most as many as the list's limit.
    pub jobs: Vec<JobRecord>,
    /// Where the next page begins; `None` where this is the last.
    pub next: Option<Cursor>,
}

/// A place in a list, as text for whoever asks for the next page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(JobId);

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.simple().fmt(formatter)
    }
}

impl FromStr for Cursor {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        let id = text.parse().map_err(|_| QueueError::InvalidCursor)?;
        Ok(Self(id))
    }
}

impl JobList<'_> {
    /// Those that stand so.
    pub fn status(mut self, status: JobStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Those of the queue called so.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.of_queue = Some(queue.into());
        self
    }

    /// Those of the name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Those of the tenant.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// The most jobs of a page: from 1 to 500; 50 by default. What is outside is brought to the nearest.
    pub fn limit(mut self, jobs: u32) -> Self {
        self.limit = jobs.clamp(1, PAGE_JOBS_MAX);
        self
    }

    /// The page at a cursor, or the first. One round trip.
    ///
    /// A job that changes while pages are fetched is seen as it then stands, once or, where it no longer fits
    /// the list, not at all.
    ///
    /// # Errors
    /// [`QueueError::InvalidName`]; [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn fetch(&self, cursor: Option<Cursor>) -> Result<Page, QueueError> {
        let filter = self.filter()?;
        let after = cursor.map(|cursor| cursor.0);
        // One more, to know whether there is one.
        let backend = self.queue.backend();
        let mut jobs = backend.list(&filter, after, self.limit + 1).await?;
        let is_more = jobs.len() > self.limit as usize;
        jobs.truncate(self.limit as usize);
        let last = jobs.last().filter(|_| is_more);
        Ok(Page {
            next: last.map(|last| Cursor(last.id)),
            jobs,
        })
    }

    /// The identifiers of all jobs that are there when it begins.
    pub(super) async fn all_ids(self) -> Result<Vec<JobId>, QueueError> {
        let list = self.limit(PAGE_JOBS_MAX);
        let newest = JobId::generate();
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page = list.fetch(cursor).await?;
            ids.extend(page.jobs.iter().map(|job| job.id));
            let is_past = page.jobs.last().is_some_and(|last| last.id > newest);
            match page.next {
                Some(next) if !is_past => cursor = Some(next),
                _ => return Ok(ids),
            }
        }
    }

    fn filter(&self) -> Result<JobFilter, QueueError> {
        Ok(JobFilter {
            status: self.status,
            queue: self.of_queue.as_ref().map(QueueName::new).transpose()?,
            name: self.name.as_ref().map(JobName::new).transpose()?,
            tenant: self.tenant.clone(),
        })
    }
}
