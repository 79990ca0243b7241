// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How a body reaches the executor of its run.

use std::sync::Arc;

use forktex_db::Db;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::ctx::call::{Ask, Port, Reply};
use crate::error::failure::StepFailure;

/// A call on its way to the executor.
pub(super) struct CallRequest {
    pub(super) member: usize,
    pub(super) key: String,
    pub(super) ask: Ask,
    pub(super) reply: oneshot::Sender<Result<Reply, StepFailure>>,
}

/// The port of one body.
pub(super) struct BodyPort {
    pub(super) member: usize,
    pub(super) requests: mpsc::UnboundedSender<CallRequest>,
    pub(super) beats: Arc<Notify>,
    pub(super) database: Option<Db>,
}

impl Port for BodyPort {
    fn ask(&self, key: String, ask: Ask) -> BoxFuture<'_, Result<Reply, StepFailure>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let request = CallRequest {
                member: self.member,
                key,
                ask,
                reply,
            };
            // Without an executor, or an answer from it, the body is about to be dropped.
            if self.requests.send(request).is_ok()
                && let Ok(reply) = answer.await
            {
                return reply;
            }
            std::future::pending().await
        })
    }

    fn beat(&self) {
        self.beats.notify_one();
    }

    fn database(&self) -> Option<Db> {
        self.database.clone()
    }
}
