// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The options of a schedule, which `#[scheduled]`, `#[pipeline]` and `#[graph]` share.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{LitStr, Path};

use super::options::{self, Known};
use crate::diagnostics::message;

pub(crate) const CRON: Known = ("cron", "cron = \"0 2 * * *\"");
pub(crate) const TIMEZONE: Known = ("timezone", "timezone = \"Europe/Berlin\"");
pub(crate) const OVERLAP: Known = ("overlap", "overlap = skip");
pub(crate) const CATCH_UP: Known = ("catch_up", "catch_up = one");
pub(crate) const INPUT: Known = ("input", "input = path::to::function");

/// The options as written.
#[derive(Debug, Default)]
pub(crate) struct ScheduleSyntax {
    pub(crate) cron: Option<LitStr>,
    pub(crate) timezone: Option<LitStr>,
    pub(crate) overlap: Option<Ident>,
    pub(crate) catch_up: Option<Ident>,
    pub(crate) input: Option<Path>,
}

impl ScheduleSyntax {
    /// Reads the value of `key`, if it is one of the five above. Returns whether it was.
    pub(crate) fn read(&mut self, key: &str, input: ParseStream) -> syn::Result<bool> {
        match key {
            "cron" => self.cron = Some(options::string(input, CRON.1)?),
            "timezone" => self.timezone = Some(options::string(input, TIMEZONE.1)?),
            "overlap" => self.overlap = Some(word(input, OVERLAP.1)?),
            "catch_up" => self.catch_up = Some(word(input, CATCH_UP.1)?),
            "input" => {
                let start = input.span();
                let path = input.call(Path::parse_mod_style);
                let form = |_| syn::Error::new(start, message::write_option(INPUT.1));
                self.input = Some(path.map_err(form)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn word(input: ParseStream, form: &str) -> syn::Result<Ident> {
    let start = input.span();
    let word = input.call(Ident::parse_any);
    word.map_err(|_| syn::Error::new(start, message::write_option(form)))
}
