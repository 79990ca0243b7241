// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Ticks, times and wakes.

use std::time::Duration;

use time::OffsetDateTime;

use super::{on_all_backends, plain};
use crate::backend::{Claim, Due, NewJob};
use crate::identifier::{QueueName, WorkerId};

const LONG: Duration = Duration::from_mins(10);

on_all_backends! {
    async fn a_tick_is_fired_once_and_never_after_a_later_one(stage) {
        let now = stage.backend.now().await.unwrap().replace_nanosecond(0).unwrap();
        let fire = async |schedule: &str, tick: OffsetDateTime| {
            stage.backend.fire(schedule, tick, plain()).await.unwrap()
        };
        assert!(fire("a", now).await);
        assert!(!fire("a", now).await);
        assert!(fire("b", now).await);
        assert!(fire("a", now + Duration::from_secs(2)).await);
        assert!(!fire("a", now + Duration::from_secs(1)).await);
        assert_eq!(stage.claim(10, LONG).await.len(), 3);
    }

    async fn of_many_that_fire_a_tick_one_does(stage) {
        let tick = stage.backend.now().await.unwrap().replace_nanosecond(0).unwrap();
        let asked = (0..20).map(|_| stage.backend.fire("a", tick, plain()));
        let fired = futures_util::future::join_all(asked).await;
        let fired = fired.into_iter().filter(|fired| *fired.as_ref().unwrap());
        assert_eq!(fired.count(), 1);
        assert_eq!(stage.claim(10, LONG).await.len(), 1);
    }

    async fn the_claim_tells_when_the_next_job_is_due(stage) {
        let claim = Claim {
            worker: WorkerId::generate(),
            queues: vec![QueueName::unchecked("default")],
            jobs_max: 1,
            lease: LONG,
        };
        stage.put(NewJob { due: Due::After(Duration::from_mins(1)), ..plain() }).await;
        stage.put(NewJob { due: Due::After(Duration::from_secs(30)), ..plain() }).await;
        let claimed = stage.backend.claim(&claim).await.unwrap();
        assert!(claimed.jobs.is_empty() && !claimed.is_more);
        // A backend may not know.
        if let Some(due) = claimed.next_due {
            assert!(due <= Duration::from_secs(30), "{due:?}");
            assert!(due > Duration::from_secs(20), "{due:?}");
        }
    }

    async fn whoever_waits_is_woken_by_a_job(stage) {
        let mut wakes = stage.backend.wakes();
        // A connection that listens may have to be made first.
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            wakes.mark_unchanged();
            stage.put(plain()).await;
            let woken = tokio::time::timeout(Duration::from_millis(200), wakes.changed()).await;
            if woken.is_ok_and(|woken| woken.is_ok()) {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "nobody was woken");
        }
    }
}
