// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Steering what is in a queue: cancel, pause, replay, discard.

use super::Queue;
use super::inspect::JobList;
use crate::backend::{CancelAnswer, ReplayAnswer};
use crate::error::QueueError;
use crate::identifier::{JobId, QueueName};
use crate::record::JobStatus;

/// What became of a wish to cancel a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a job that runs has not ended yet"]
#[non_exhaustive]
pub enum Cancelled {
    /// It was not running, and is gone.
    Now,
    /// It is running. Its worker is told at its next heartbeat, within 5 seconds by default, and gives the
    /// body a grace to end by itself. It is not tried again.
    Asked,
    /// There is no such job that could be cancelled: it never was, has ended, or is a dead letter.
    NotFound,
}

/// What a replay of many came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayedAll {
    /// How many are ready again.
    pub replayed: u64,
    /// Those that were left, since another job holds their unique key.
    pub conflicts: Vec<JobId>,
}

impl Queue {
    /// Cancels a job. One round trip.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// It is cancelled or not.
    ///
    /// # Examples
    /// ```
    /// # use forktex_queue::{Cancelled, Job, Queue, QueueError};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Job, Serialize, Deserialize)]
    /// # #[job("reminder.send")]
    /// # struct Reminder { user: u64 }
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), QueueError> {
    /// # let queue = Queue::in_process();
    /// let reminder = queue.enqueue(Reminder { user: 7 }).after("1d").await?;
    /// assert_eq!(queue.cancel(reminder.id()).await?, Cancelled::Now);
    /// assert_eq!(queue.cancel(reminder.id()).await?, Cancelled::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cancel(&self, id: JobId) -> Result<Cancelled, QueueError> {
        Ok(match self.backend().cancel(id).await? {
            CancelAnswer::Removed => Cancelled::Now,
            CancelAnswer::Asked => Cancelled::Asked,
            CancelAnswer::Unknown => Cancelled::NotFound,
        })
    }

    /// Has nobody take jobs from the queue called `queue` until [`resume`](Self::resume), whatever process
    /// they are in. Jobs that run go on, and jobs can be put in. One round trip.
    ///
    /// # Errors
    /// [`QueueError::InvalidName`]; [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// It is paused or not.
    pub async fn pause(&self, queue: &str) -> Result<(), QueueError> {
        let queue = QueueName::new(queue)?;
        self.backend().set_paused(&queue, true).await
    }

    /// Ends a pause. One round trip.
    ///
    /// # Errors
    /// [`QueueError::InvalidName`]; [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// The pause has ended or not.
    pub async fn resume(&self, queue: &str) -> Result<(), QueueError> {
        let queue = QueueName::new(queue)?;
        self.backend().set_paused(&queue, false).await
    }

    /// Makes a dead letter ready again, with all its attempts. Whether there was one. One round trip.
    ///
    /// # Errors
    /// [`QueueError::Conflict`] where another job holds its unique key; [`QueueError::Unavailable`] and its
    /// like.
    ///
    /// # Cancellation
    /// It is ready or still a dead letter.
    pub async fn replay(&self, id: JobId) -> Result<bool, QueueError> {
        match self.backend().replay(id).await? {
            ReplayAnswer::Replayed => Ok(true),
            ReplayAnswer::Unknown => Ok(false),
            ReplayAnswer::Conflict(holder) => Err(QueueError::Conflict { id, holder }),
        }
    }

    /// Makes all dead letters of a list ready again that are there when it begins; its limit is not looked
    /// at. A round trip for each, and one for each page of 500.
    ///
    /// # Errors
    /// Those of [`JobList::fetch`]; those that were replayed before it stay so.
    ///
    /// # Cancellation
    /// Some are replayed and others not.
    ///
    /// # Examples
    /// ```
    /// # use forktex_queue::{Queue, QueueError};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), QueueError> {
    /// # let queue = Queue::in_process();
    /// let done = queue.replay_all(queue.dead_letters().queue("mail")).await?;
    /// println!("{} are ready again", done.replayed);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn replay_all(&self, letters: JobList<'_>) -> Result<ReplayedAll, QueueError> {
        let mut done = ReplayedAll::default();
        for id in letters.status(JobStatus::Dead).all_ids().await? {
            match self.backend().replay(id).await? {
                ReplayAnswer::Replayed => done.replayed += 1,
                ReplayAnswer::Conflict(_) => done.conflicts.push(id),
                ReplayAnswer::Unknown => {}
            }
        }
        Ok(done)
    }

    /// Removes a dead letter. Whether there was one. One round trip.
    ///
    /// # Errors
    /// [`QueueError::Unavailable`] and its like.
    ///
    /// # Cancellation
    /// It is removed or not.
    pub async fn discard(&self, id: JobId) -> Result<bool, QueueError> {
        self.backend().discard(id).await
    }
}
