// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[derive(Signal)]`.

use forktex_flow::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Signal, Debug, PartialEq, Serialize, Deserialize)]
#[signal("email.verified")]
struct EmailVerified {
    email: String,
}

#[derive(Signal, Serialize, Deserialize)]
#[signal("review-1.done", crate = ::forktex_flow)]
enum Review {
    Accepted { by: String },
    Refused,
}

#[derive(Signal, Serialize, Deserialize)]
#[signal("ping")]
struct Ping;

fn name_of<G: Signal>() -> &'static str {
    G::NAME
}

#[test]
fn structs_and_enums_are_signals_by_their_names() {
    assert_eq!(name_of::<EmailVerified>(), "email.verified");
    assert_eq!(name_of::<Review>(), "review-1.done");
    assert_eq!(name_of::<Ping>(), "ping");
}

#[tokio::test]
async fn a_step_is_given_the_signal_that_its_type_names() {
    #[derive(State, Clone, Serialize, Deserialize)]
    struct Account {
        email: Option<String>,
        reviewer: Option<String>,
    }

    #[step]
    async fn verify(ctx: &Ctx, _state: &Account) -> StepResult<AccountUpdate> {
        let verified: EmailVerified = ctx.signal().await?;
        let reviewer = match ctx.signal().await? {
            Review::Accepted { by } => Some(by),
            Review::Refused => None,
        };
        Ok(Account::update().email(verified.email).reviewer(reviewer))
    }

    let email = "a@example.org".to_owned();
    let ctx = Ctx::for_test()
        .with_signal(&EmailVerified { email })
        .unwrap()
        .with_signal(&Review::Accepted {
            by: "ann".to_owned(),
        })
        .unwrap();
    let account = Account {
        email: None,
        reviewer: None,
    };
    let update = verify(&ctx, &account).await.unwrap();
    let account = account.updated(update).unwrap();
    assert_eq!(account.email.as_deref(), Some("a@example.org"));
    assert_eq!(account.reviewer.as_deref(), Some("ann"));
}
