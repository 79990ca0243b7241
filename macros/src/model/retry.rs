// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The retry options, checked.

use quote::ToTokens;
use syn::{LitInt, LitStr};

use super::duration::{DurationFault, milliseconds};
use crate::diagnostics::{Diagnostics, message};
use crate::parse::retry::{BackoffSyntax, RetrySyntax};

const MAX_ATTEMPTS_LIMIT: u32 = 1_000;

/// What was given; delays in milliseconds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) max_attempts: Option<u32>,
    pub(crate) backoff_ms: Option<Vec<u64>>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) heartbeat_ms: Option<u64>,
}

impl Retry {
    /// Whether nothing was given.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Checks the options.
pub(crate) fn check(syntax: RetrySyntax, diagnostics: &mut Diagnostics) -> Retry {
    let RetrySyntax {
        max_attempts,
        backoff,
        timeout,
        heartbeat,
    } = syntax;
    Retry {
        max_attempts: max_attempts.and_then(|number| attempts(&number, diagnostics)),
        backoff_ms: backoff.map(|backoff| delays(backoff, diagnostics)),
        timeout_ms: timeout.and_then(|timeout| {
            let duration = duration(&timeout, diagnostics)?;
            if duration == 0 {
                diagnostics.error(timeout, message::ZERO_TIMEOUT);
            }
            Some(duration)
        }),
        heartbeat_ms: heartbeat.and_then(|heartbeat| {
            let duration = duration(&heartbeat, diagnostics)?;
            if duration == 0 {
                diagnostics.error(heartbeat, message::ZERO_HEARTBEAT);
            }
            Some(duration)
        }),
    }
}

fn attempts(number: &LitInt, diagnostics: &mut Diagnostics) -> Option<u32> {
    let attempts = number.base10_parse().ok();
    let attempts = attempts.filter(|attempts| (1..=MAX_ATTEMPTS_LIMIT).contains(attempts));
    if attempts.is_none() {
        diagnostics.error(number, message::ATTEMPTS_OUT_OF_RANGE);
    }
    attempts
}

fn delays(backoff: BackoffSyntax, diagnostics: &mut Diagnostics) -> Vec<u64> {
    let texts = match backoff {
        BackoffSyntax::One(delay) => vec![delay],
        BackoffSyntax::List(bracket, delays) => {
            if delays.is_empty() {
                diagnostics.error_at(bracket.span.join(), message::EMPTY_BACKOFF);
            }
            delays
        }
    };
    texts
        .iter()
        .filter_map(|text| duration(text, diagnostics))
        .collect()
}

fn duration(text: &LitStr, diagnostics: &mut Diagnostics) -> Option<u64> {
    let written = text.value();
    let message = match milliseconds(&written) {
        Ok(duration) => return Some(duration),
        Err(DurationFault::Malformed) => message::malformed_duration(&written),
        Err(DurationFault::TooLong) => message::long_duration(&written),
    };
    diagnostics.error(text.to_token_stream(), message);
    None
}
