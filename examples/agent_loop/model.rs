// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A model that is scripted, so that the example needs no network. To copy: put a client in its place.

use forktex::flow::prelude::*;

use crate::agent::Conversation;

/// What a model replies.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// It wants a tool to be run.
    Call {
        tool: String,
        argument: String,
        tokens: u64,
    },
    /// It has its answer.
    Answer { text: String, tokens: u64 },
}

impl Reply {
    pub(crate) fn tokens(&self) -> u64 {
        match self {
            Self::Call { tokens, .. } | Self::Answer { tokens, .. } => *tokens,
        }
    }
}

/// Steps take it as a `Resource`.
#[derive(Clone, Debug)]
pub(crate) struct Model;

impl Model {
    /// Replies by what the conversation has so far. The first attempt of its second thought finds it
    /// overloaded.
    #[expect(clippy::unused_async, reason = "a client of a real model waits for it")]
    pub(crate) async fn ask(&self, so_far: &Conversation, attempt: u32) -> StepResult<Reply> {
        let call = |tool: &str, argument: &str| Reply::Call {
            tool: tool.to_owned(),
            argument: argument.to_owned(),
            tokens: 40,
        };
        let found: Vec<&str> = so_far
            .transcript
            .iter()
            .filter_map(|line| line.split_once(": "))
            .filter(|(speaker, _)| *speaker != "model")
            .map(|(_, found)| found)
            .collect();
        Ok(match found.as_slice() {
            [] => call("population", "Cluj"),
            [_] if attempt == 1 => return Err(StepError::new("the model is overloaded")),
            [_] => call("population", "Iasi"),
            [one, other] => call("add", &format!("{one} + {other}")),
            [.., total] => Reply::Answer {
                text: format!("Together {total} people live there."),
                tokens: 60,
            },
        })
    }
}
