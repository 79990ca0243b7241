// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Gathers what is to be written while an earlier write is in flight, and writes it together.
//!
//! There is no timer: what comes alone is written at once, in one round trip.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many items may wait for a writer before those who bring them do.
const QUEUE_MAX: usize = 4_096;

/// The entrance to a group of writers.
pub(crate) struct GroupCommit<T, R>(mpsc::Sender<Pending<T, R>>);

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
        F: Fn(Vec<Pending<T, R>>) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static,
    {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let tasks = (0..writers)
            .map(|_| {
                let (receiver, stop, write) = (Arc::clone(&receiver), stop.clone(), write.clone());
                tokio::spawn(async move {
                    stop.run_until_cancelled(drain(receiver, batch_max, write))
                        .await;
                })
            })
            .collect();
        (Self(sender), tasks)
    }

    /// Brings an item and waits until it is written. `None` when the writers have stopped.
    ///
    /// Dropping the future does not take the item back.
    pub(crate) async fn submit(&self, item: T) -> Option<R> {
        let (answer, answered) = oneshot::channel();
        self.0.send((item, Bringer(answer))).await.ok()?;
        answered.await.ok()
    }
}

async fn drain<T, R, F>(
    receiver: Arc<Mutex<mpsc::Receiver<Pending<T, R>>>>,
    batch_max: usize,
    write: F,
) where
    F: Fn(Vec<Pending<T, R>>) -> BoxFuture<'static, ()>,
{
    loop {
        let mut batch = Vec::new();
        if receiver.lock().await.recv_many(&mut batch, batch_max).await == 0 {
            return;
        }
        write(batch).await;
    }
}
