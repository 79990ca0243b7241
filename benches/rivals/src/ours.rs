// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! ForkTex: a pipeline of ten steps; starts are made many at a time, and the run is waited for where
//! there is one alone.

use forktex_flow::prelude::*;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Evidence, Facts, Outcome, STEPS, Settings, Steps, Work};
use crate::steps;

/// How many starts are under way at the same time.
const STARTERS: usize = 512;

/// The state of a run that does nothing.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    number: u64,
}

#[step]
async fn rest(_ctx: &Ctx, _state: &Idle) -> StepResult<()> {
    steps::nothing();
    Ok(())
}

#[pipeline(
    name = "rivals.ten", version = 1, state = Idle,
    steps = [
        step(rest, name = "step_1"), step(rest, name = "step_2"), step(rest, name = "step_3"),
        step(rest, name = "step_4"), step(rest, name = "step_5"), step(rest, name = "step_6"),
        step(rest, name = "step_7"), step(rest, name = "step_8"), step(rest, name = "step_9"),
        step(rest, name = "step_10"),
    ],
)]
pub(crate) struct Ten;

pub(crate) struct Ours {
    flow: Flow,
}

impl Contender for Ours {
    const FACTS: Facts = Facts {
        name: "forktex-flow",
        packages: &["forktex-flow"],
        steps: Steps::Durable,
        durable: "a journal row: what the step changed, its event and what is ready next, fenced by the run's epoch",
        settings: Settings {
            connections: 0,
            at_once: 1_000,
        },
        open: "SELECT count(*) FROM forktex_flow.active",
        evidence: Evidence::Kept {
            sql: "SELECT (SELECT count(*) FROM forktex_flow.instance WHERE status = 'completed'), \
                  (SELECT count(*) FROM forktex_flow.journal WHERE kind = 1)",
            steps_a_run: STEPS,
        },
    };

    async fn lay(url: &str) -> Outcome<()> {
        let owner = Flow::builder(url).build().await?;
        owner.init().await?;
        owner.close().await?;
        Ok(())
    }

    async fn launch(url: &str, _: Work, settings: Settings) -> Outcome<Self> {
        let slots = u32::try_from(settings.at_once)?;
        let flow = Flow::builder(url).slots(slots).build().await?;
        flow.start_driver().await?;
        Ok(Self { flow })
    }

    async fn many(&self, runs: u64) -> Outcome<()> {
        stream::iter(0..runs)
            .map(|number| async move { self.flow.start(Ten, Idle { number }).await.map(drop) })
            .buffer_unordered(STARTERS)
            .try_collect::<()>()
            .await?;
        steps::until(runs * STEPS).await;
        Ok(())
    }

    async fn one(&self, number: u64) -> Outcome<()> {
        let run = self.flow.start(Ten, Idle { number }).await?;
        run.wait().await?;
        Ok(())
    }
}
