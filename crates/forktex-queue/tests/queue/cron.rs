// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Jobs by the clock.

use std::collections::HashSet;

use forktex_queue::{Cron, WorkerError};

use crate::stage::{Ledger, Note};

on_all_backends! {
    /// Three workers have the schedule; each tick puts one job in.
    async fn a_tick_puts_one_job_in_however_many_workers_have_it(stage) {
        let ledger = Ledger::default();
        let mut workers = Vec::new();
        for _ in 0..3 {
            let cron = Cron::new("test.tick", "* * * * * *")
                .job_at(|tick| Note::new(tick.unix_timestamp().to_string()));
            let worker = stage.worker().cron(cron).handle(ledger.noting());
            workers.push(worker.start().await.unwrap());
        }
        ledger.reaches(4).await;
        for worker in workers {
            worker.drain("5s").await.unwrap();
        }
        let ticks: Vec<i64> = ledger.texts().iter().map(|text| text.parse().unwrap()).collect();
        let distinct: HashSet<&i64> = ticks.iter().collect();
        assert_eq!(distinct.len(), ticks.len(), "{ticks:?}");
        let (first, last) = (ticks.iter().min().unwrap(), ticks.iter().max().unwrap());
        assert_eq!(usize::try_from(last - first + 1).unwrap(), ticks.len(), "a tick is missing: {ticks:?}");
    }

    async fn schedules_that_cannot_be_are_refused_at_the_start(stage) {
        let ledger = Ledger::default();
        let daily = || Cron::new("test.daily", "@daily").job(Note::new("a"));
        for (crons, expected) in [
            (vec![Cron::new("test.bad", "0 2 * *").job(Note::new("a"))], "five fields"),
            (vec![Cron::new("no name", "@daily").job(Note::new("a"))], "schedule name"),
            (
                vec![Cron::new("test.bad", "@daily").timezone("Europe/Berlim").job(Note::new("a"))],
                "Europe/Berlin",
            ),
            (vec![daily(), daily()], "two schedules"),
        ] {
            let worker = stage.worker().handle(ledger.noting());
            let worker = crons.into_iter().fold(worker, forktex_queue::Worker::cron);
            let refused: WorkerError = worker.start().await.unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }
}
