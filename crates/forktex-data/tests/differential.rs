// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Random registers, rows and queries, and the same asked of an evaluator that was written for this test:
//! of stored registers and of virtual ones, with nulls and ties.
//!
//! A round goes by its seed alone. One that fails is printed; `FORKTEX_DATA_SEED=<seed>` plays it again,
//! and `FORKTEX_DATA_ROUNDS=<n>` plays more of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "differential/ask.rs"]
mod ask;
#[path = "differential/cells.rs"]
mod cells;
#[path = "differential/evaluator.rs"]
mod evaluator;
#[path = "differential/questions.rs"]
mod questions;
#[path = "differential/stored.rs"]
mod stored;
#[path = "differential/virtual_source.rs"]
mod virtual_source;

use std::panic::AssertUnwindSafe;

use fastrand::Rng;
use forktex_data::Data;
use forktex_db::{Db, DbOptions};
use forktex_testkit::TestDatabase;
use futures_util::FutureExt as _;

const SEED: &str = "FORKTEX_DATA_SEED";
const ROUNDS: &str = "FORKTEX_DATA_ROUNDS";

const ROUNDS_DEFAULT: u64 = 10;

/// How many questions are asked of each register.
const QUESTIONS: usize = 20;

struct Place {
    db: Db,
    _database: TestDatabase,
}

impl Place {
    async fn create() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let owner = Db::connect(database.owner_url(), DbOptions::new())
            .await
            .unwrap();
        Data::new(&owner).migrate().await.unwrap();
        Self {
            db: Db::connect(database.url(), DbOptions::new()).await.unwrap(),
            _database: database,
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} takes a number")),
    )
}

/// Plays rounds, each by a seed of its own, and tells the one that fails.
async fn play(what: &str, round: impl AsyncFn(&Place, Rng)) {
    let place = Place::create().await;
    let seeds: Vec<u64> = match number(SEED) {
        Some(seed) => vec![seed],
        None => (0..number(ROUNDS).unwrap_or(ROUNDS_DEFAULT))
            .map(|_| fastrand::u64(..))
            .collect(),
    };
    for seed in seeds {
        let played = AssertUnwindSafe(round(&place, Rng::with_seed(seed)))
            .catch_unwind()
            .await;
        if let Err(panic) = played {
            eprintln!(
                "{what}: the seed is {seed}; again: {SEED}={seed} cargo test --test differential"
            );
            std::panic::resume_unwind(panic);
        }
    }
}

#[tokio::test]
async fn a_stored_register_answers_as_the_evaluator_does() {
    play("stored", async |place, mut random| {
        let (register, fields, rows) = stored::fill(&place.db, &mut random).await;
        ask::many(&register, &fields, &rows, &mut random, QUESTIONS).await;
        // The same after rows were changed, archived and deleted, and indexes came and went.
        let (register, fields, rows) =
            stored::change(&place.db, register, fields, rows, &mut random).await;
        ask::many(&register, &fields, &rows, &mut random, QUESTIONS).await;
    })
    .await;
}

#[tokio::test]
async fn a_virtual_register_answers_as_the_evaluator_does() {
    play("virtual", async |place, mut random| {
        let (register, fields, rows) = virtual_source::fill(&place.db, &mut random).await;
        ask::many(&register, &fields, &rows, &mut random, QUESTIONS).await;
    })
    .await;
}
