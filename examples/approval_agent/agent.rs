// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! An agent that answers customers. It may look at orders by itself; to give money back it needs a human.

use std::time::Duration;

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::model::{Intent, Model};
use crate::shop::Shop;

/// The conversation.
#[derive(State, Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) question: String,
    pub(crate) order: u32,
    /// How long a human has to decide.
    pub(crate) patience: Duration,
    #[reduce(append)]
    pub(crate) transcript: Vec<String>,
    /// What the model wants next.
    pub(crate) intent: Option<Intent>,
    /// What the order cost, once it was looked at.
    pub(crate) cents: Option<u64>,
    pub(crate) decision: Option<Decision>,
    pub(crate) receipt: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    ApprovedBy(String),
    NobodyCame,
}

/// A human allows it.
#[derive(Signal, Debug, Serialize, Deserialize)]
#[signal("refund.approved")]
pub(crate) struct Approved {
    pub(crate) by: String,
}

/// What those who follow the run are told while it runs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// The next word of the model. What an attempt before this one told is to be forgotten: the model
    /// was asked again.
    Word { attempt: u32, text: String },
    /// A human is to decide.
    Question { text: String },
}

/// Asks the model, and tells each word as it comes. A model that is overloaded is asked again.
#[step(max_attempts = 5, backoff = ["100ms", "1s"], timeout = "1m")]
async fn think(
    ctx: &Ctx,
    state: &Conversation,
    model: Resource<Model>,
) -> StepResult<ConversationUpdate> {
    let attempt = ctx.attempt();
    let mut reply = model.ask(state, attempt);
    let mut words = Vec::new();
    while let Some(text) = reply.next_word().await? {
        words.push(text.clone());
        ctx.emit(&Told::Word { attempt, text }).await?;
    }
    let line = format!("model: {}", words.join(" "));
    Ok(Conversation::update()
        .transcript([line])
        .intent(reply.into_intent()))
}

#[step]
async fn look_up(
    _ctx: &Ctx,
    state: &Conversation,
    shop: Resource<Shop>,
) -> StepResult<ConversationUpdate> {
    let Some(cents) = shop.price_cents(state.order) else {
        return Err(StepError::fatal(format!(
            "there is no order {}",
            state.order
        )));
    };
    let line = format!("order {}: {cents} cents", state.order);
    Ok(Conversation::update().transcript([line]).cents(cents))
}

/// Waits for a human. Meanwhile the run holds nothing but its row. When it is taken up again the body
/// runs from its beginning, and what was told is not told again.
#[step]
async fn ask_human(ctx: &Ctx, state: &Conversation) -> StepResult<ConversationUpdate> {
    let text = format!(
        "give back {} cents for order {}?",
        state.cents.unwrap_or_default(),
        state.order
    );
    ctx.emit(&Told::Question { text }).await?;
    let approved = ctx.signal::<Approved>().timeout(state.patience).await?;
    let (line, decision) = match approved {
        Some(Approved { by }) => (format!("{by}: approved"), Decision::ApprovedBy(by)),
        None => ("nobody decided".to_owned(), Decision::NobodyCame),
    };
    Ok(Conversation::update().transcript([line]).decision(decision))
}

/// The shop gets the step's idempotency key, so that money is given back once.
#[step]
async fn refund(
    ctx: &Ctx,
    state: &Conversation,
    shop: Resource<Shop>,
) -> StepResult<ConversationUpdate> {
    let Some(Decision::ApprovedBy(human)) = &state.decision else {
        return Err(StepError::fatal(
            "nobody approved it, whatever the model says",
        ));
    };
    let receipt = shop.refund(state.order, &ctx.idempotency_key());
    let line = format!("refund: {receipt}, on the word of {human}");
    Ok(Conversation::update().transcript([line]).receipt(receipt))
}

#[derive(Route)]
enum Next {
    LookUp,
    AskHuman,
    Refund,
    Answer,
}

fn next(state: &Conversation) -> Result<Next, String> {
    match state.intent {
        Some(Intent::LookUp) => Ok(Next::LookUp),
        Some(Intent::AskHuman) => Ok(Next::AskHuman),
        Some(Intent::Refund) => Ok(Next::Refund),
        Some(Intent::Answer) => Ok(Next::Answer),
        None => Err("the model wants nothing".to_owned()),
    }
}

#[graph(
    name = "agent.support", version = 1, state = Conversation, entry = think,
    topology = [
        conditional(think, next, {
            Next::LookUp => look_up,
            Next::AskHuman => ask_human,
            Next::Refund => refund,
            Next::Answer => END,
        }),
        edge(look_up, think),
        edge(ask_human, think),
        edge(refund, think),
    ],
    max_visits = 20,
)]
pub(crate) struct Support;
