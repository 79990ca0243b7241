// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The onboarding of a user as a state machine: each state is a node, and what the user does is a
//! signal. A run that waits is a row, however many days it waits.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

/// What is known of the user.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Onboarding {
    pub(crate) user: String,
    pub(crate) email: Option<String>,
    pub(crate) plan: Option<Plan>,
    #[reduce(append)]
    pub(crate) sent: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Plan {
    Free,
    Team,
}

/// The user has followed the link in the mail.
#[derive(Signal, Clone, Debug, Serialize, Deserialize)]
#[signal("email.verified")]
pub(crate) struct EmailVerified {
    pub(crate) email: String,
}

/// The user has chosen a plan.
#[derive(Signal, Clone, Debug, Serialize, Deserialize)]
#[signal("plan.chosen")]
pub(crate) struct PlanChosen {
    pub(crate) plan: Plan,
}

impl From<EmailVerified> for OnboardingUpdate {
    fn from(signal: EmailVerified) -> Self {
        Onboarding::update().email(signal.email)
    }
}

impl From<PlanChosen> for OnboardingUpdate {
    fn from(signal: PlanChosen) -> Self {
        Onboarding::update().plan(signal.plan)
    }
}

#[step]
async fn email_pending(_ctx: &Ctx, state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update().sent([format!("a link to {}", state.user)]))
}

#[step]
async fn plan_pending(_ctx: &Ctx, state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update().sent([format!("the plans to {}", state.user)]))
}

#[step]
async fn active(_ctx: &Ctx, state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update().sent([format!("a welcome to {}", state.user)]))
}

#[step]
async fn expired(_ctx: &Ctx, state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update().sent([format!("a farewell to {}", state.user)]))
}

/// A user has a week to verify the address, and then as long as it takes to choose a plan.
#[graph(
    name = "user.onboarding", version = 1, state = Onboarding,
    entry = email_pending, terminal = [active, expired],
    topology = [
        wait_edge(email_pending, plan_pending, on = EmailVerified),
        wait_edge(email_pending, expired, after = "7d"),
        wait_edge(plan_pending, active, on = PlanChosen),
    ],
)]
pub(crate) struct UserOnboarding;

/// The same machine with a week of 300 ms, so that the example can show how it expires.
#[graph(
    name = "user.onboarding.in_a_hurry", version = 1, state = Onboarding,
    entry = email_pending, terminal = [active, expired],
    topology = [
        wait_edge(email_pending, plan_pending, on = EmailVerified),
        wait_edge(email_pending, expired, after = "300ms"),
        wait_edge(plan_pending, active, on = PlanChosen),
    ],
)]
pub(crate) struct HurriedOnboarding;
