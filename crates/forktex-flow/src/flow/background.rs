// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The tasks that every flow has: the writers of starts, the notices, and the look-up of runs that
//! are waited for.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::handle::Access;
use crate::identifier::InstanceId;
use crate::store::Store;
use crate::store::notice::{Notice, NoticeReceiver, NoticeSender};
use crate::worker::{Announcer, WorkerHandle};

/// How many notices may wait; more are left to polling.
const NOTICES_MAX: usize = 10_000;

/// The shortest time between two statements that send notices of a lane in which they come in numbers.
const NOTICE_INTERVAL: Duration = Duration::from_millis(5);

/// How long listening rests after its connection broke.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// Ends its tasks when it is dropped.
pub(super) struct Background {
    notices: Notices,
    access: Arc<Access>,
    stop: CancellationToken,
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Background {
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.access.endings.close();
    }

    /// Does something else until the flow stops.
    pub(super) fn run(&self, task: impl Future<Output: Send> + Send + 'static) {
        spawn(&self.stop, task);
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.notices
    }

    pub(super) fn announcer(&self, access: Arc<Access>) -> Arc<dyn Announcer> {
        Arc::new(Announce {
            access,
            notices: self.notices.clone(),
        })
    }

    pub(super) fn start(
        stop: CancellationToken,
        local: Arc<RwLock<Option<WorkerHandle>>>,
        notices: Notices,
        lanes: [mpsc::Receiver<Notice>; 2],
        sender: &Arc<dyn NoticeSender>,
        receiver: Option<Box<dyn NoticeReceiver>>,
        access: Arc<Access>,
    ) -> Self {
        for lane in lanes {
            spawn(&stop, send_notices(lane, Arc::clone(sender)));
        }
        if let Some(receiver) = receiver {
            spawn(&stop, receive_notices(receiver, Arc::clone(&access), local));
        }
        let waited_for = Arc::clone(&access);
        spawn(&stop, async move {
            let store: Arc<dyn Store> = Arc::clone(&waited_for.store);
            waited_for.endings.poll(&*store).await;
        });
        Self {
            notices,
            access,
            stop,
        }
    }
}

fn spawn<F: Future<Output: Send> + Send + 'static>(stop: &CancellationToken, task: F) {
    let stop = stop.clone();
    tokio::spawn(async move { stop.run_until_cancelled(task).await.map(drop) });
}

/// Where notices are handed in; never waits. What sets workers to work has a lane of its own: it is not
/// to wait because the end of another run was just told.
#[derive(Clone)]
pub(super) struct Notices {
    work: mpsc::Sender<Notice>,
    news: mpsc::Sender<Notice>,
}

impl Notices {
    pub(super) fn channel() -> (Self, [mpsc::Receiver<Notice>; 2]) {
        let (work, work_lane) = mpsc::channel(NOTICES_MAX);
        let (news, news_lane) = mpsc::channel(NOTICES_MAX);
        (Self { work, news }, [work_lane, news_lane])
    }

    pub(super) fn send(&self, notice: Notice) {
        let lane = match notice {
            Notice::Ready | Notice::Message | Notice::Cancelling(_) => &self.work,
            Notice::Ended(_) | Notice::Progress(_) => &self.news,
        };
        // A full queue is no fault: whoever waits looks once a second.
        let _ = lane.try_send(notice);
    }
}

struct Announce {
    access: Arc<Access>,
    notices: Notices,
}

impl Announcer for Announce {
    fn ended(&self, instance: InstanceId) {
        self.access.endings.announce(instance);
        self.notices.send(Notice::Ended(instance));
    }

    fn progressed(&self, instance: InstanceId, is_told: bool) {
        self.access.endings.announce_progress(instance);
        if is_told {
            self.notices.send(Notice::Progress(instance));
        }
    }

    fn ready(&self) {
        self.notices.send(Notice::Ready);
    }

    fn cancelling(&self, instance: InstanceId) {
        self.notices.send(Notice::Cancelling(instance));
    }
}

async fn send_notices(mut queue: mpsc::Receiver<Notice>, sender: Arc<dyn NoticeSender>) {
    loop {
        let mut notices = Vec::new();
        if queue.recv_many(&mut notices, NOTICES_MAX).await == 0 {
            return;
        }
        if let Err(error) = sender.send(&notices).await {
            tracing::debug!(%error, "notices were not sent; polling makes up for them");
        }
        if notices.len() > 1 {
            tokio::time::sleep(NOTICE_INTERVAL).await;
        }
    }
}

async fn receive_notices(
    mut receiver: Box<dyn NoticeReceiver>,
    access: Arc<Access>,
    local: Arc<RwLock<Option<WorkerHandle>>>,
) {
    loop {
        let notices = match receiver.receive().await {
            Ok(notices) => notices,
            Err(error) => {
                tracing::debug!(%error, "not listening for notices; polling makes up for them");
                tokio::time::sleep(LISTEN_PAUSE).await;
                continue;
            }
        };
        let worker = local.read().unwrap_or_else(PoisonError::into_inner).clone();
        for notice in notices {
            match (notice, &worker) {
                (Notice::Ended(instance), _) => access.endings.announce(instance),
                (Notice::Progress(instance), _) => access.endings.announce_progress(instance),
                (Notice::Ready, Some(worker)) => worker.wake(),
                (Notice::Message, Some(worker)) => worker.deliver(),
                (Notice::Cancelling(instance), Some(worker)) => worker.tell_cancelled(instance),
                (Notice::Ready | Notice::Message | Notice::Cancelling(_), None) => {}
            }
        }
    }
}
