// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The retry options, which `#[step]` and the steps of a pipeline share.

use syn::parse::ParseStream;
use syn::{LitInt, LitStr, Token, bracketed, token};

use super::options::{self, Known};
use crate::diagnostics::message;

pub(crate) const MAX_ATTEMPTS: Known = ("max_attempts", "max_attempts = 5");
pub(crate) const BACKOFF: Known = ("backoff", "backoff = [\"10s\", \"1m\"]");
pub(crate) const TIMEOUT: Known = ("timeout", "timeout = \"10m\"");
pub(crate) const HEARTBEAT: Known = ("heartbeat", "heartbeat = \"30s\"");

/// The retry options as written.
#[derive(Debug, Default)]
pub(crate) struct RetrySyntax {
    pub(crate) max_attempts: Option<LitInt>,
    pub(crate) backoff: Option<BackoffSyntax>,
    pub(crate) timeout: Option<LitStr>,
    pub(crate) heartbeat: Option<LitStr>,
}

/// One delay, or a list of them.
#[derive(Debug)]
pub(crate) enum BackoffSyntax {
    One(LitStr),
    List(token::Bracket, Vec<LitStr>),
}

impl RetrySyntax {
    /// Reads the value of `key`, one of the four above.
    pub(crate) fn read(&mut self, key: &str, input: ParseStream) -> syn::Result<()> {
        if key == MAX_ATTEMPTS.0 {
            if !input.peek(LitInt) {
                return Err(input.error(message::write_option(MAX_ATTEMPTS.1)));
            }
            self.max_attempts = Some(input.parse()?);
        } else if key == BACKOFF.0 {
            self.backoff = Some(read_backoff(input)?);
        } else if key == HEARTBEAT.0 {
            self.heartbeat = Some(options::string(input, HEARTBEAT.1)?);
        } else {
            self.timeout = Some(options::string(input, TIMEOUT.1)?);
        }
        Ok(())
    }
}

fn read_backoff(input: ParseStream) -> syn::Result<BackoffSyntax> {
    if !input.peek(token::Bracket) {
        return options::string(input, BACKOFF.1).map(BackoffSyntax::One);
    }
    let content;
    let bracket = bracketed!(content in input);
    let mut delays = Vec::new();
    let mut fault = None;
    while !content.is_empty() {
        match options::string(&content, BACKOFF.1) {
            Ok(delay) => delays.push(delay),
            Err(error) => fault = fault.or(Some(error)),
        }
        options::skip_to_comma(&content);
        let _: Option<Token![,]> = content.parse()?;
    }
    fault.map_or(Ok(BackoffSyntax::List(bracket, delays)), Err)
}
