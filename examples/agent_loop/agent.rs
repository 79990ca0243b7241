// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The agent: it asks the model, runs the tool that the model names, and asks again, until there is an
//! answer. Each question and each tool call is a checkpoint, so that a crash repeats at most one of them.

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::model::{Model, Reply};

/// The conversation.
#[derive(State, Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) question: String,
    /// What was said so far, one line each.
    #[reduce(append)]
    pub(crate) transcript: Vec<String>,
    /// The tool that the model asked for last, and on what.
    pub(crate) call: Option<Call>,
    pub(crate) answer: Option<String>,
    #[reduce(add)]
    pub(crate) tokens: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) tool: String,
    pub(crate) argument: String,
}

/// Asks the model what to do next. A model that is overloaded is asked again.
#[step(max_attempts = 5, backoff = ["100ms", "1s"], timeout = "1m")]
async fn think(
    ctx: &Ctx,
    state: &Conversation,
    model: Resource<Model>,
) -> StepResult<ConversationUpdate> {
    let reply = model.ask(state, ctx.attempt()).await?;
    let update = Conversation::update().tokens(reply.tokens());
    Ok(match reply {
        Reply::Call { tool, argument, .. } => {
            let line = format!("model: {tool}({argument})");
            update.transcript([line]).call(Call { tool, argument })
        }
        Reply::Answer { text, .. } => update.transcript([format!("model: {text}")]).answer(text),
    })
}

/// Runs the tool. What it does outside is done under the step's idempotency key, so that a tool which
/// knows it does nothing twice.
#[step(timeout = "1m")]
async fn use_tool(ctx: &Ctx, state: &Conversation) -> StepResult<ConversationUpdate> {
    let Some(Call { tool, argument }) = &state.call else {
        return Err(StepError::fatal("the model asked for no tool"));
    };
    let found = match tool.as_str() {
        "population" => population(argument)?,
        "add" => sum(argument)?,
        unknown => return Err(StepError::fatal(format!("there is no tool `{unknown}`"))),
    };
    let line = format!("{tool} #{}: {found}", ctx.visit());
    Ok(Conversation::update().transcript([line]))
}

fn population(city: &str) -> StepResult<u64> {
    match city {
        "Cluj" => Ok(286_598),
        "Iasi" => Ok(271_692),
        other => Err(StepError::fatal(format!("nobody counted {other}"))),
    }
}

fn sum(numbers: &str) -> StepResult<u64> {
    let numbers: Result<Vec<u64>, _> = numbers.split('+').map(|text| text.trim().parse()).collect();
    let numbers = numbers.map_err(|error| StepError::fatal(format!("no numbers: {error}")))?;
    Ok(numbers.into_iter().sum())
}

#[derive(Route)]
enum Next {
    UseTool,
    Answer,
}

fn next(state: &Conversation) -> Next {
    if state.answer.is_some() {
        Next::Answer
    } else {
        Next::UseTool
    }
}

/// A model that never answers fails the run after twenty thoughts, and the record says so.
#[graph(
    name = "agent.converse", version = 1, state = Conversation, entry = think,
    topology = [
        conditional(think, next, { Next::UseTool => use_tool, Next::Answer => END }),
        edge(use_tool, think),
    ],
    max_visits = 20,
)]
pub(crate) struct Converse;
