// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Gathers what is to be written while an earlier write is in flight, and writes it together.
//!
//! There is no timer: what comes alone is written at once, in one round trip, by the task that brings it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many items may wait for a writer before those who bring them do.
const QUEUE_MAX: usize = 4_096;

/// The entrance to a group of writers.
pub(crate) struct GroupCommit<T, R> {
    queue: mpsc::Sender<Pending<T, R>>,
    /// How many may write at the same time.
    turns: Arc<Semaphore>,
    write: Write<T, R>,
}

/// Writes some items, and answers those who brought them.
type Write<T, R> = Arc<dyn Fn(Vec<Pending<T, R>>) -> BoxFuture<'static, ()> + Send + Sync>;

/// An item, and where its bringer waits for the answer.
pub(crate) type Pending<T, R> = (T, Bringer<R>);

/// Who brought an item.
pub(crate) struct Bringer<R>(oneshot::Sender<R>);

impl<R> Bringer<R> {
    /// Answers, if the bringer still listens.
    pub(crate) fn answer(self, answer: R) {
        let _ = self.0.send(answer);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T: Send + 'static, R: Send + 'static> GroupCommit<T, R> {
    /// Starts `writers` tasks that each write up to `batch_max` items at a time.
    pub(crate) fn start<F>(
        writers: usize,
        batch_max: usize,
        stop: &CancellationToken,
        write: F,
    ) -> (Self, Vec<JoinHandle<()>>)
    where
        F: Fn(Vec<Pending<T, R>>) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let turns = Arc::new(Semaphore::new(writers));
        let write: Write<T, R> = Arc::new(write);
        let tasks = (0..writers)
            .map(|_| {
                let writer = Writer {
                    queue: Arc::clone(&receiver),
                    turns: Arc::clone(&turns),
                    write: Arc::clone(&write),
                    batch_max,
                };
                let stop = stop.clone();
                tokio::spawn(async move {
                    stop.run_until_cancelled(writer.run()).await;
                    writer.turns.close();
                })
            })
            .collect();
        let group = Self {
            queue,
            turns,
            write,
        };
        (group, tasks)
    }

    /// Brings an item and waits until it is written. `None` when the writers have stopped.
    ///
    /// Dropping the future does not take the item back: it may be written all the same.
    pub(crate) async fn submit(&self, item: T) -> Option<R> {
        let (answer, answered) = oneshot::channel();
        let pending = (item, Bringer(answer));
        match Arc::clone(&self.turns).try_acquire_owned() {
            // Nobody else is about to write: the way to a writer's task and back is spared.
            Ok(turn) => {
                let written = (self.write)(vec![pending]);
                Carried(Some(Box::pin(written.map(|()| drop(turn))))).await;
            }
            Err(_) => self.queue.send(pending).await.ok()?,
        }
        answered.await.ok()
    }
}

/// A write that goes on in a task of its own where the future that began it is dropped.
struct Carried(Option<BoxFuture<'static, ()>>);

impl Future for Carried {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(write) = &mut self.0 else {
            return Poll::Ready(());
        };
        ready!(write.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        if let (Some(write), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(write);
        }
    }
}

/// One of a group.
struct Writer<T, R> {
    queue: Arc<Mutex<mpsc::Receiver<Pending<T, R>>>>,
    turns: Arc<Semaphore>,
    write: Write<T, R>,
    batch_max: usize,
}

impl<T, R> Writer<T, R> {
    async fn run(&self) {
        loop {
            let mut batch = Vec::new();
            let mut queue = self.queue.lock().await;
            let Some(first) = queue.recv().await else {
                return;
            };
            batch.push(first);
            let Ok(_turn) = self.turns.acquire().await else {
                return;
            };
            // What has come meanwhile goes with it.
            while batch.len() < self.batch_max
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            drop(queue);
            (self.write)(batch).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Numbers = GroupCommit<u32, u32>;

    /// Writers of one turn that tell of each batch, and write it when they may.
    fn group(gate: &Arc<Semaphore>) -> (Arc<Numbers>, mpsc::UnboundedReceiver<Vec<u32>>) {
        let (told, batches) = mpsc::unbounded_channel();
        let gate = Arc::clone(gate);
        let write = move |batch: Vec<Pending<u32, u32>>| -> BoxFuture<'static, ()> {
            let (told, gate) = (told.clone(), Arc::clone(&gate));
            Box::pin(async move {
                gate.acquire().await.unwrap().forget();
                told.send(batch.iter().map(|(item, _)| *item).collect())
                    .unwrap();
                for (item, bringer) in batch {
                    bringer.answer(item * 10);
                }
            })
        };
        let (group, _tasks) = Numbers::start(1, 3, &CancellationToken::new(), write);
        (Arc::new(group), batches)
    }

    #[tokio::test]
    async fn what_comes_while_another_is_written_is_written_together() {
        let gate = Arc::new(Semaphore::new(0));
        let (group, mut batches) = group(&gate);
        let submits = (1..=6).map(|item| {
            let group = Arc::clone(&group);
            tokio::spawn(async move { group.submit(item).await })
        });
        let submits: Vec<_> = submits.collect();
        // All have come: one is in its write, one with the writer, the others in the queue.
        while group.queue.capacity() > QUEUE_MAX - 4 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(10);
        let mut answers = Vec::new();
        for submit in submits {
            answers.push(submit.await.unwrap());
        }
        assert_eq!(
            answers,
            (1..=6).map(|item| Some(item * 10)).collect::<Vec<_>>()
        );
        let sizes = [
            batches.recv().await,
            batches.recv().await,
            batches.recv().await,
        ];
        let sizes = sizes.map(|batch| batch.unwrap().len());
        assert_eq!(sizes, [1, 3, 2]);
    }

    #[tokio::test]
    async fn a_write_goes_on_where_nobody_waits_for_it_any_more() {
        let gate = Arc::new(Semaphore::new(0));
        let (group, mut batches) = group(&gate);
        let gone = tokio::time::timeout(Duration::ZERO, group.submit(1)).await;
        assert!(gone.is_err());
        gate.add_permits(1);
        assert_eq!(batches.recv().await, Some(vec![1]));
        // Its turn is free again.
        gate.add_permits(1);
        assert_eq!(group.submit(2).await, Some(20));
    }
}
