// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tokens and leases: what is late changes nothing.

use std::time::Duration;

use super::{lease_of, on_all_backends, plain, settlement};
use crate::backend::{CancelAnswer, Outcome, Renewed, Settled};
use crate::identifier::LeaseToken;
use crate::record::{DeadReason, JobStatus};

const LONG: Duration = Duration::from_mins(10);
const SHORT: Duration = Duration::from_millis(100);

on_all_backends! {
    async fn a_settlement_is_taken_once(stage) {
        stage.put(plain()).await;
        let job = stage.claim_one(LONG).await;
        assert_eq!(job.attempt, 1);
        let done = || vec![settlement(&job, Outcome::Done)];
        assert_eq!(stage.backend.settle(done()).await.unwrap(), [Settled::Accepted]);
        assert_eq!(stage.backend.settle(done()).await.unwrap(), [Settled::Refused]);
    }

    async fn another_token_is_refused_and_changes_nothing(stage) {
        let id = stage.put(plain()).await;
        let job = stage.claim_one(LONG).await;
        let mut forged = lease_of(&job);
        forged.token = LeaseToken::generate();
        let mut ends = settlement(&job, Outcome::Done);
        ends.lease = forged.clone();
        let ends = vec![ends, settlement(&job, Outcome::Retry { delay: LONG, error: "e".into() })];
        let settled = stage.backend.settle(ends).await.unwrap();
        assert_eq!(settled, [Settled::Refused, Settled::Accepted]);
        let record = stage.backend.find(id).await.unwrap().unwrap();
        assert_eq!((record.status, record.attempts), (JobStatus::Scheduled, 1));
        assert_eq!(record.note.as_deref(), Some("e"));
        let renewed = stage.backend.renew(&[forged, lease_of(&job)], LONG).await.unwrap();
        assert_eq!(renewed, [Renewed::Lost, Renewed::Lost]);
    }

    /// Whoever froze is told so, whatever it has to say, and the job is the other's.
    async fn the_word_of_whoever_lost_its_lease_is_refused(stage) {
        stage.put(plain()).await;
        let frozen = stage.claim_one(SHORT).await;
        let other = stage.claim_one(LONG).await;
        assert_eq!((other.id, other.attempt), (frozen.id, 2));
        assert_ne!(other.token, frozen.token);
        for outcome in [
            Outcome::Done,
            Outcome::Dead { reason: DeadReason::Fatal, error: "e".into() },
            Outcome::Release { delay: Duration::ZERO, note: None },
            Outcome::Cancelled,
        ] {
            let late = vec![settlement(&frozen, outcome)];
            assert_eq!(stage.backend.settle(late).await.unwrap(), [Settled::Refused]);
        }
        let renewed = stage.backend.renew(&[lease_of(&frozen), lease_of(&other)], LONG).await;
        assert_eq!(renewed.unwrap(), [Renewed::Lost, Renewed::Held]);
        let done = vec![settlement(&other, Outcome::Done)];
        assert_eq!(stage.backend.settle(done).await.unwrap(), [Settled::Accepted]);
        assert!(stage.backend.find(other.id).await.unwrap().is_none());
    }

    async fn a_renewed_lease_does_not_end(stage) {
        stage.put(plain()).await;
        let job = stage.claim_one(Duration::from_millis(300)).await;
        let renewed = stage.backend.renew(&[lease_of(&job)], LONG).await.unwrap();
        assert_eq!(renewed, [Renewed::Held]);
        tokio::time::sleep(Duration::from_millis(400)).await;
        stage.maintain().await;
        assert!(stage.claim(1, LONG).await.is_empty());
        assert_eq!(stage.backend.cancel(job.id).await.unwrap(), CancelAnswer::Asked);
        let renewed = stage.backend.renew(&[lease_of(&job)], LONG).await.unwrap();
        assert_eq!(renewed, [Renewed::CancelAsked]);
    }

    /// A wish to cancel is not forgotten when the attempt ends another way.
    async fn what_was_asked_to_end_is_not_tried_again(stage) {
        for outcome in [
            Outcome::Retry { delay: Duration::ZERO, error: "e".into() },
            Outcome::Release { delay: Duration::ZERO, note: None },
            Outcome::Dead { reason: DeadReason::Exhausted, error: "e".into() },
        ] {
            let id = stage.put(plain()).await;
            let job = stage.claim_one(LONG).await;
            assert_eq!(stage.backend.cancel(id).await.unwrap(), CancelAnswer::Asked);
            let end = vec![settlement(&job, outcome)];
            assert_eq!(stage.backend.settle(end).await.unwrap(), [Settled::Accepted]);
            assert!(stage.backend.find(id).await.unwrap().is_none());
        }
    }

    async fn a_job_that_is_handed_back_is_first_again(stage) {
        let first = stage.put(plain()).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        stage.put(plain()).await;
        let job = stage.claim_one(LONG).await;
        assert_eq!(job.id, first);
        let release = Outcome::Release { delay: Duration::ZERO, note: Some("n".into()) };
        stage.backend.settle(vec![settlement(&job, release)]).await.unwrap();
        let record = stage.backend.find(first).await.unwrap().unwrap();
        assert_eq!((record.attempts, record.note.as_deref()), (0, Some("n")));
        let again = stage.claim_one(LONG).await;
        assert_eq!((again.id, again.attempt), (first, 1));
    }

    async fn no_job_is_given_twice_to_workers_that_ask_at_once(stage) {
        let jobs: Vec<_> = (0..200).map(|_| plain()).collect();
        stage.backend.put(jobs).await.unwrap();
        let mut claimed = Vec::new();
        for _ in 0..20 {
            let asks = (0..4).map(|_| stage.claim(5, LONG));
            for jobs in futures_util::future::join_all(asks).await {
                claimed.extend(jobs.into_iter().map(|job| job.id));
            }
        }
        claimed.sort();
        claimed.dedup();
        assert_eq!(claimed.len(), 200);
    }
}
