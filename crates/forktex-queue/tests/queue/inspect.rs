// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Looking into a queue.

use std::collections::HashSet;

use forktex_queue::{Cursor, Job, JobStatus, QueueError};
use serde::{Deserialize, Serialize};

use crate::stage::Note;

#[derive(Job, Serialize, Deserialize)]
#[job("test.other", queue = "other", tenant = "org")]
struct Other {
    org: String,
}

on_all_backends! {
    async fn pages_follow_each_other_without_gap_or_repeat(stage) {
        let notes = (0..25).map(|number| Note::new(number.to_string()));
        let enqueued = stage.queue.enqueue_many(notes).await.unwrap();
        let list = stage.queue.list().limit(10);
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = list.fetch(cursor).await.unwrap();
            seen.extend(page.jobs.iter().map(|job| job.id));
            let Some(next) = page.next else { break };
            // As whoever pages would send it.
            let text = next.to_string();
            cursor = Some(text.parse::<Cursor>().unwrap());
        }
        let expected: Vec<_> = enqueued.iter().map(|enqueued| enqueued.id()).collect();
        assert_eq!(seen, expected);
        assert!(matches!("x".parse::<Cursor>(), Err(QueueError::InvalidCursor)));
    }

    async fn a_list_is_narrowed_by_each_thing_that_is_said(stage) {
        let queue = &stage.queue;
        for org in ["a", "b", "a"] {
            queue.enqueue(Other { org: org.to_owned() }).await.unwrap();
        }
        queue.enqueue(Note::new("n")).await.unwrap();
        queue.enqueue(Note::new("late")).after("1h").await.unwrap();
        queue.enqueue(Note::new("o")).queue("other").await.unwrap();
        for (list, expected) in [
            (queue.list(), 6),
            (queue.list().queue("other"), 4),
            (queue.list().name("test.other"), 3),
            (queue.list().name("test.note").queue("other"), 1),
            (queue.list().tenant("a"), 2),
            (queue.list().tenant("a").queue("default"), 0),
            (queue.list().status(JobStatus::Scheduled), 1),
            (queue.list().status(JobStatus::Ready).queue("default"), 1),
            (queue.list().status(JobStatus::Running), 0),
            (queue.dead_letters(), 0),
            (queue.list().tenant("nobody"), 0),
        ] {
            let page = list.fetch(None).await.unwrap();
            assert_eq!(page.jobs.len(), expected, "{list:?}");
            assert_eq!(page.next, None);
            let ids: HashSet<_> = page.jobs.iter().map(|job| job.id).collect();
            assert_eq!(ids.len(), expected);
        }
        assert!(queue.list().name("no name").fetch(None).await.is_err());
        let queues = queue.queues().await.unwrap();
        let queues: Vec<&str> = queues.iter().map(AsRef::as_ref).collect();
        assert_eq!(queues, ["default", "other"]);
    }

    async fn what_is_in_a_queue_is_counted(stage) {
        let queue = &stage.queue;
        assert_eq!(queue.stats("default").await.unwrap(), forktex_queue::QueueStats::default());
        queue.enqueue(Note::new("a")).await.unwrap();
        queue.enqueue(Note::new("b")).after("1h").await.unwrap();
        let stats = queue.stats("default").await.unwrap();
        assert_eq!((stats.ready, stats.scheduled), (1, 1));
        assert_eq!((stats.running, stats.held, stats.dead), (0, 0, 0));
        assert!(stats.oldest_ready.is_some_and(|age| age.as_secs() < 60));
    }

    async fn a_look_at_a_job_shows_no_payload_in_debug(stage) {
        let job = stage.queue.enqueue(Note::new("hunter2")).await.unwrap();
        let record = stage.queue.job(job.id()).await.unwrap().unwrap();
        assert!(!format!("{record:?}").contains("hunter2"));
    }
}
