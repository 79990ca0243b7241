// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A release that goes out to many regions: a run each, and one that waits for all of them.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

/// One region, as the child knows it.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) endpoint: Option<String>,
}

/// A region that is called `mars` cannot be reached, and no attempt more would help.
#[step]
async fn deploy(_ctx: &Ctx, state: &Region) -> StepResult<RegionUpdate> {
    if state.name == "mars" {
        return Err(StepError::fatal("mars is too far away"));
    }
    let endpoint = format!("https://{}.example.org/{}", state.name, state.image);
    Ok(Region::update().endpoint(endpoint))
}

#[pipeline(name = "release.region", version = 1, state = Region, steps = [deploy])]
pub(crate) struct DeployRegion;

/// The release, as the parent knows it.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    pub(crate) image: String,
    pub(crate) regions: Vec<String>,
    /// In the order of `regions`.
    pub(crate) endpoints: Vec<String>,
    #[reduce(append)]
    pub(crate) failures: Vec<String>,
}

impl Release {
    fn region(&self, name: &str) -> Region {
        Region {
            name: name.to_owned(),
            image: self.image.clone(),
            endpoint: None,
        }
    }
}

/// Tries the release in the first region before it goes to all: a child that is spawned and waited for.
/// A failed canary fails the step, and with it the run.
#[step]
async fn canary(ctx: &Ctx, state: &Release) -> StepResult<()> {
    let Some(first) = state.regions.first() else {
        return Err(StepError::fatal("there are no regions"));
    };
    let child = ctx
        .spawn(DeployRegion, state.region(first))
        .key("canary")
        .await?;
    ctx.wait(child).await?;
    Ok(())
}

/// All or nothing: the first region that fails has those that are not done cancelled, and the step
/// fails. Three at a time; those whose turn has not come are rows that wait.
#[step]
async fn everywhere(ctx: &Ctx, state: &Release) -> StepResult<ReleaseUpdate> {
    let regions = state.regions.iter().map(|name| state.region(name));
    let done = ctx
        .map(DeployRegion, regions)
        .concurrency(3)
        .fail_fast(true)
        .await?;
    let endpoints = done.into_iter().filter_map(|region| region.endpoint);
    Ok(Release::update().endpoints(endpoints.collect::<Vec<_>>()))
}

#[pipeline(name = "release.all", version = 1, state = Release, steps = [canary, everywhere])]
pub(crate) struct ReleaseToAll;

/// As many as can: what became of each region is taken as it is.
#[step]
async fn wherever_possible(ctx: &Ctx, state: &Release) -> StepResult<ReleaseUpdate> {
    let regions = state.regions.iter().map(|name| state.region(name));
    let settled = ctx
        .map(DeployRegion, regions)
        .concurrency(3)
        .settle()
        .await?;
    let (mut endpoints, mut failures) = (Vec::new(), Vec::new());
    for (name, result) in state.regions.iter().zip(settled) {
        match result {
            Ok(region) => endpoints.extend(region.endpoint),
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    Ok(Release::update().endpoints(endpoints).failures(failures))
}

#[pipeline(name = "release.some", version = 1, state = Release, steps = [wherever_possible])]
pub(crate) struct ReleaseToSome;
