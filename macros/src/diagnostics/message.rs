// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The texts of all messages: what is wrong, and after `help:` the form that is expected.

mod cached;
mod graph;
mod job;
mod model;
mod pipeline;
mod schedule;
mod signal;
mod state;
mod step;
mod template;

use std::fmt::Display;

use crate::diagnostics::nearest;
use crate::parse::options::Known;

pub(crate) use cached::*;
pub(crate) use graph::*;
pub(crate) use job::*;
pub(crate) use model::*;
pub(crate) use pipeline::*;
pub(crate) use schedule::*;
pub(crate) use signal::*;
pub(crate) use state::*;
pub(crate) use step::*;
pub(crate) use template::*;

pub(crate) const EXPECTED_COMMA: &str = "expected `,`";

/// What is said of an item that must be a struct with named fields.
pub(crate) struct StructMessages {
    what: &'static str,
    example: &'static str,
    instead: &'static str,
}

impl StructMessages {
    pub(crate) fn needs_names(&self) -> String {
        let Self { what, example, .. } = self;
        format!("{what} is a struct with named fields: write `struct {example} {{ field: Type }}`")
    }

    pub(crate) fn is_no(&self, kind: &str) -> String {
        let Self { what, instead, .. } = self;
        format!("{what} is a struct with named fields, not {kind}: {instead}")
    }
}

fn with_help(message: impl Display, help: impl Display) -> String {
    format!("{message}\n= help: {help}")
}

pub(crate) fn write_option(form: &str) -> String {
    format!("expected `{form}`")
}

pub(crate) fn expected_option(owner: &str, known: &[Known]) -> String {
    with_help(format!("expected an option of `{owner}`"), exist(known))
}

pub(crate) fn unknown_option(owner: &str, written: &str, known: &[Known]) -> String {
    let message = format!("`{owner}` has no option `{written}`");
    let near = nearest(written, known.iter().map(|(name, _)| *name));
    match near {
        Some(near) => with_help(message, format!("a similar option exists: `{near}`")),
        None => with_help(message, exist(known)),
    }
}

pub(crate) fn duplicate_option(name: &str) -> String {
    format!("`{name}` is given twice: keep one")
}

pub(crate) fn missing_option(owner: &str, form: &str) -> String {
    format!("`{owner}` needs `{form}`")
}

fn exist(known: &[Known]) -> String {
    let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [one] => format!("the one option is {one}"),
        names => format!("the options are {}", names.join(", ")),
    }
}
