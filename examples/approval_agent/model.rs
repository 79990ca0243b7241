// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A model that is scripted, so that the example needs no network. To copy: put a client in its place.

use std::vec;

use forktex::flow::prelude::*;
use serde::{Deserialize, Serialize};

use crate::agent::{Conversation, Decision};

/// What the model wants to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Intent {
    LookUp,
    AskHuman,
    Refund,
    Answer,
}

/// Steps take it as a `Resource`.
#[derive(Clone, Debug)]
pub(crate) struct Model;

/// A reply that comes word by word.
#[derive(Debug)]
pub(crate) struct Reply {
    words: vec::IntoIter<String>,
    /// After so many words the model is overloaded.
    fails_after: Option<usize>,
    intent: Intent,
}

impl Model {
    /// Replies by what is known so far. The first attempt of its second thought breaks off.
    #[expect(
        clippy::unused_self,
        reason = "a client of a real model holds a connection"
    )]
    pub(crate) fn ask(&self, so_far: &Conversation, attempt: u32) -> Reply {
        let (text, intent) = match (so_far.cents, &so_far.decision, &so_far.receipt) {
            (None, ..) => ("Let me look at your order.", Intent::LookUp),
            (Some(_), None, _) => ("That is for a human to decide.", Intent::AskHuman),
            (_, Some(Decision::ApprovedBy(_)), None) => ("I give it back.", Intent::Refund),
            (_, Some(Decision::NobodyCame), _) => ("Somebody will write to you.", Intent::Answer),
            (.., Some(_)) => ("Your money is on its way.", Intent::Answer),
        };
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let breaks_off = intent == Intent::AskHuman && attempt == 1;
        Reply {
            words: words.into_iter(),
            fails_after: breaks_off.then_some(3),
            intent,
        }
    }
}

impl Reply {
    /// The next word, if there is one.
    #[expect(clippy::unused_async, reason = "a client of a real model waits for it")]
    pub(crate) async fn next_word(&mut self) -> StepResult<Option<String>> {
        if let Some(words) = &mut self.fails_after {
            if *words == 0 {
                return Err(StepError::new("the model is overloaded"));
            }
            *words -= 1;
        }
        Ok(self.words.next())
    }

    /// What the model wants, once it has said all.
    pub(crate) fn into_intent(self) -> Intent {
        self.intent
    }
}
