// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One run alone: how long a step that does nothing takes, from its start to the next one's.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use forktex_flow::definition::Declaration;
use forktex_flow::definition::binding::Node;
use forktex_flow::definition::pipeline::Pipeline;
use forktex_flow::prelude::*;
use forktex_flow::{Version, Workflow};
use forktex_testkit::Postgres;
use serde::{Deserialize, Serialize};

use crate::baseline;
use crate::fixture::{self, Bench};
use crate::report::Report;
use forktex_testkit::figure::{Figure, median};

/// The steps of the one run.
const STEPS: usize = 2_000;

/// The state of a run that only notes the time.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Noted {
    number: u64,
}

static STARTS: Mutex<Vec<Instant>> = Mutex::new(Vec::new());

#[step]
async fn note(_ctx: &Ctx, _state: &Noted) -> StepResult<()> {
    STARTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Instant::now());
    Ok(())
}

struct Long;

impl Workflow for Long {
    type State = Noted;

    const NAME: &'static str = "bench.long";
    const VERSION: Version = 1;

    fn declare() -> Declaration {
        (0..STEPS)
            .fold(
                Pipeline::<Noted>::new(Self::NAME, Self::VERSION),
                |pipeline, number| {
                    pipeline.step(Node::of::<note>().named(format!("step_{number}")))
                },
            )
            .build()
    }
}

pub(crate) async fn measure(bench: &Bench) -> Result<Report, Box<dyn Error>> {
    let server = fixture::server(&[]).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in bench.rounds() {
        bench.progress("flow.alone", round, "one bare commit");
        bare.push(baseline::bare_commit_ms(&server).await?);
        bench.progress("flow.alone", round, &format!("one run of {STEPS} steps"));
        ours.push(step_ms(&server).await?);
    }
    let (value, baseline) = (median(ours), median(bare));
    Ok(Report {
        figures: vec![Figure {
            bench: "flow.alone",
            value,
            unit: "ms/step",
            baseline,
            ratio: value / baseline,
            bar: 1.3,
            at_most: true,
        }],
        notes: Vec::new(),
    })
}

async fn step_ms(server: &Postgres) -> Result<f64, Box<dyn Error>> {
    let database = fixture::database(server).await?;
    let flow_alone = Flow::builder(database.url())
        .register::<Long>()
        .build()
        .await?;
    flow_alone.start_driver().await?;
    STARTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
    let run = flow_alone.start(Long, Noted { number: 0 }).await?;
    run.wait().await?;
    flow_alone.close().await?;
    let starts = STARTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if starts.len() != STEPS {
        return Err(format!("{} of {STEPS} steps ran", starts.len()).into());
    }
    Ok(median(
        starts
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1_000.0)
            .collect(),
    ))
}
