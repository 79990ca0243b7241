// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Follows a run: its events in order, without a gap, to the last.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::{self, BoxStream};

use super::{Access, Run};
use crate::error::ReadError;
use crate::identifier::InstanceId;
use crate::instance::event::Event;
use crate::store::memory::time::Await;

/// The most events that one statement reads.
const PAGE_EVENTS_MAX: u32 = 500;

/// How often a stream looks for events of other processes of which no notice came.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How often in a row a stream may find the database away before it says so.
const FAILURES_MAX: u32 = 60;

impl<S> Run<S> {
    /// Follows the run from its beginning: all that is recorded and all that will be, in order and
    /// without a gap. The stream ends with the event by which the run ended.
    ///
    /// While nothing happens it looks into the tables twice a second; what happens in this process, and
    /// what steps elsewhere [`emit`](crate::Ctx::emit), is told at once. A database that is away is
    /// waited for, for about half a minute.
    ///
    /// # Errors
    /// As items, after which the stream ends: [`ReadError::NotFound`] and the database's.
    ///
    /// # Cancellation
    /// Cancel-safe. A stream that was dropped is resumed with
    /// [`stream_after`](Self::stream_after) and the sequence of the last event.
    ///
    /// # Examples
    /// ```no_run
    /// use forktex_flow::prelude::*;
    /// use futures_util::StreamExt;
    ///
    /// # async fn example(run: Run) -> Result<(), FlowError> {
    /// let mut events = run.stream();
    /// while let Some(event) = events.next().await {
    ///     print!("{}", event?.to_sse());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(&self) -> EventStream {
        self.stream_after(0)
    }

    /// As [`stream`](Self::stream), from the event after the one with this sequence number.
    pub fn stream_after(&self, sequence: i64) -> EventStream {
        EventStream::new(self.instance_id, Arc::clone(&self.access), sequence)
    }

    /// All that happened to the run until now. One statement for each 500 events, and one more.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] and the database's.
    ///
    /// # Cancellation
    /// Cancel-safe.
    pub async fn history(&self) -> Result<Vec<Event>, ReadError> {
        let mut history: Vec<Event> = Vec::new();
        loop {
            let after = history.last().map_or(0, |event| event.sequence);
            let page = events(&self.access, self.instance_id, after).await?;
            let is_last = page.len() < PAGE_EVENTS_MAX as usize;
            history.extend(page);
            if is_last {
                break;
            }
        }
        if history.is_empty() {
            super::read(&self.access, self.instance_id).await?;
        }
        Ok(history)
    }
}

async fn events(
    access: &Access,
    instance: InstanceId,
    after: i64,
) -> Result<Vec<Event>, ReadError> {
    let page = access.store.events(instance, after, PAGE_EVENTS_MAX).await;
    let page = page.map_err(|error| ReadError::Database { instance, error })?;
    Ok(page.into_iter().map(Event::of).collect())
}

/// The events of a run; made by [`Run::stream`].
#[must_use = "nothing is followed until this is polled"]
pub struct EventStream(BoxStream<'static, Result<Event, ReadError>>);

/// Where a stream is.
struct Following {
    instance: InstanceId,
    access: Arc<Access>,
    sequence: i64,
    read: VecDeque<Event>,
    is_over: bool,
}

impl EventStream {
    fn new(instance: InstanceId, access: Arc<Access>, sequence: i64) -> Self {
        let following = Following {
            instance,
            access,
            sequence,
            read: VecDeque::new(),
            is_over: false,
        };
        Self(Box::pin(stream::unfold(following, next)))
    }
}

async fn next(mut following: Following) -> Option<(Result<Event, ReadError>, Following)> {
    if following.is_over {
        return None;
    }
    if following.read.is_empty() {
        match following.look().await {
            Ok(events) => following.read = events,
            Err(error) => {
                following.is_over = true;
                return Some((Err(error), following));
            }
        }
    }
    let event = following.read.pop_front()?;
    following.sequence = event.sequence;
    following.is_over = event.is_terminal();
    Some((Ok(event), following))
}

impl Following {
    /// The next events, when there are some; none where the run ended before.
    async fn look(&mut self) -> Result<VecDeque<Event>, ReadError> {
        let mut failures = 0;
        loop {
            // Listen before looking, so that an event in between is not missed.
            let told = self.access.endings.progress(self.instance);
            match self.once().await {
                Ok(Some(events)) => return Ok(events),
                Ok(None) => failures = 0,
                Err(error) if error.is_outage() && failures < FAILURES_MAX => failures += 1,
                Err(error) => return Err(error),
            }
            let time = self.access.store.virtual_time();
            let _awaiting = time.map(|time| {
                time.awaiting(Await {
                    run: Some(self.instance),
                    after_sequence: Some(self.sequence),
                    until: None,
                })
            });
            let _ = tokio::time::timeout(LOOK_INTERVAL, told).await;
        }
    }

    async fn once(&self) -> Result<Option<VecDeque<Event>>, ReadError> {
        let read = events(&self.access, self.instance, self.sequence).await?;
        if !read.is_empty() {
            return Ok(Some(read.into()));
        }
        // Nothing more comes of a run that ended before the place from which it is followed.
        let ended = self.access.store.ended(&[self.instance]).await;
        let ended = ended.map_err(|error| ReadError::Database {
            instance: self.instance,
            error,
        })?;
        if ended.is_empty() {
            return Ok(None);
        }
        let last = events(&self.access, self.instance, self.sequence).await?;
        if last.is_empty() {
            super::read(&self.access, self.instance).await?;
        }
        Ok(Some(last.into()))
    }
}

impl Stream for EventStream {
    type Item = Result<Event, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventStream")
    }
}
