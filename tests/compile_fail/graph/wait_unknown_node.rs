// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A node of an edge that waits is listed.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(State, Clone, Serialize, Deserialize)]
struct Onboarding {
    email: Option<String>,
}

#[step]
async fn pending(_ctx: &Ctx, _state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update())
}

#[step]
async fn verified(_ctx: &Ctx, _state: &Onboarding) -> StepResult<OnboardingUpdate> {
    Ok(Onboarding::update())
}

#[derive(Signal, Serialize, Deserialize)]
#[signal("email.verified")]
struct EmailVerified {
    email: String,
}

impl From<EmailVerified> for OnboardingUpdate {
    fn from(signal: EmailVerified) -> Self {
        Onboarding::update().email(signal.email)
    }
}

#[graph(
    name = "onboarding", version = 1, state = Onboarding,
    entry = pending, terminal = verified,
    nodes = { pending, verified },
    topology = [
        wait_edge(pending, verifed, on = EmailVerified),
    ],
)]
struct UserOnboarding;

fn main() {}
