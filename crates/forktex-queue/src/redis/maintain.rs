// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Maintenance, and the names of the queues that it goes over.

use std::time::Duration;

use forktex_cache::fred::types::Value;

use super::{RedisBackend, answer, milliseconds, script};
use crate::backend::Maintained;
use crate::error::QueueError;
use crate::identifier::QueueName;

/// The most queues that are named or maintained at a time. Of more, each time others are taken.
const QUEUES_MAX: i64 = 1_000;

/// How many queues one script sees to.
const QUEUES_A_SCRIPT: usize = 20;

/// What is noted of a job whose worker is gone.
const LOST_NOTE: &str = "the worker that had it was lost";

impl RedisBackend {
    /// Two round trips, and one more for each twenty queues.
    pub(super) async fn maintain_queues(&self, kept: Duration) -> Result<Maintained, QueueError> {
        const ACTION: &str = "maintain the queue";
        let mut all = Maintained::default();
        let queues = self.queue_names(ACTION, false).await?;
        for part in queues.chunks(QUEUES_A_SCRIPT) {
            let mut arguments = vec![
                Value::Integer(milliseconds(kept)),
                Value::from_static_str(LOST_NOTE),
            ];
            arguments.extend(part.iter().map(|queue| Value::from(queue.as_str())));
            let answer = self.run(&script::MAINTAIN, ACTION, arguments).await?;
            let answer = answer.into_array();
            all.promoted += answer::count(answer.first());
            all.taken_back += answer::count(answer.get(1));
            all.buried += answer::count(answer.get(2));
            all.pruned += answer::count(answer.get(3));
            all.is_more |= answer::count(answer.get(4)) > 0;
        }
        Ok(all)
    }

    pub(super) async fn queues_in_use(&self) -> Result<Vec<QueueName>, QueueError> {
        let mut queues = self.queue_names("list the queues", true).await?;
        queues.sort_unstable();
        queues.truncate(usize::try_from(QUEUES_MAX).unwrap_or(usize::MAX));
        Ok(queues)
    }

    /// The queues that are known, or those of them that have jobs or are paused; in no order.
    pub(super) async fn queue_names(
        &self,
        action: &'static str,
        are_in_use: bool,
    ) -> Result<Vec<QueueName>, QueueError> {
        let arguments = vec![
            Value::Integer(QUEUES_MAX),
            Value::Integer(i64::from(are_in_use)),
        ];
        let answer = self.run(&script::QUEUES, action, arguments).await?;
        let names = answer.into_array().into_iter();
        names
            .map(|name| {
                let name = name
                    .into_string()
                    .and_then(|name| QueueName::new(name).ok());
                name.ok_or_else(|| answer::corrupt(action, "the name of a queue"))
            })
            .collect()
    }
}
