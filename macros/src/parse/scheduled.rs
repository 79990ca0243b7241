// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[scheduled(..)]` as written.

use proc_macro2::TokenStream;
use syn::{LitInt, LitStr};

use super::options::{self, CRATE, Keys, Known};
use super::pipeline::{NAME, VERSION};
use super::retry::{BACKOFF, HEARTBEAT, MAX_ATTEMPTS, TIMEOUT};
use super::schedule::{CATCH_UP, CRON, INPUT, OVERLAP, ScheduleSyntax, TIMEZONE};
use super::step::{COMPENSATE, StepOptions, WRITES};
use crate::diagnostics::{Diagnostics, message};

const KNOWN: &[Known] = &[
    NAME,
    VERSION,
    CRON,
    TIMEZONE,
    OVERLAP,
    CATCH_UP,
    INPUT,
    MAX_ATTEMPTS,
    BACKOFF,
    TIMEOUT,
    HEARTBEAT,
    COMPENSATE,
    WRITES,
    CRATE,
];

/// The options of a scheduled step.
#[derive(Debug, Default)]
pub(crate) struct ScheduledOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) schedule: ScheduleSyntax,
    pub(crate) step: StepOptions,
    pub(crate) keys: Keys,
}

/// Reads the options.
pub(crate) fn parse_options(
    tokens: TokenStream,
    diagnostics: &mut Diagnostics,
) -> ScheduledOptions {
    let mut scheduled = ScheduledOptions::default();
    let keys = options::parse_all(tokens, diagnostics, |input, diagnostics| {
        options::read_all(input, "#[scheduled]", KNOWN, diagnostics, |key, input| {
            match key {
                "name" => scheduled.name = Some(options::string(input, NAME.1)?),
                "version" if input.peek(LitInt) => scheduled.version = Some(input.parse()?),
                "version" => return Err(input.error(message::write_option(VERSION.1))),
                _ if scheduled.schedule.read(key, input)? => {}
                _ => scheduled.step.read(key, input)?,
            }
            Ok(())
        })
    });
    scheduled.keys = keys.unwrap_or_default();
    scheduled
}
