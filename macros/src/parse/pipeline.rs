// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[pipeline(..)]` as written.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, ItemStruct, LitInt, LitStr, Path, Token, Type, bracketed, parenthesized, token};

use super::first_word;
use super::options::{self, CRATE, Keys, Known};
use super::retry::{BACKOFF, HEARTBEAT, MAX_ATTEMPTS, RetrySyntax, TIMEOUT};
use super::schedule::{CATCH_UP, CRON, INPUT, OVERLAP, ScheduleSyntax, TIMEZONE};
use super::step::{self, COMPENSATE};
use crate::diagnostics::{Diagnostics, message};

pub(crate) const NAME: Known = ("name", "name = \"area.verb\"");
pub(crate) const VERSION: Known = ("version", "version = 1");
pub(crate) const STATE: Known = ("state", "state = MyState");
pub(crate) const STEPS: Known = ("steps", "steps = [first_step, second_step]");
const KNOWN: &[Known] = &[
    NAME, VERSION, STATE, STEPS, CRON, TIMEZONE, OVERLAP, CATCH_UP, INPUT, CRATE,
];

const WHEN: Known = ("when", "when = |state| state.is_ready");
const NODE_NAME: Known = ("name", "name = \"another_name\"");
const NODE_KNOWN: &[Known] = &[
    WHEN,
    NODE_NAME,
    MAX_ATTEMPTS,
    BACKOFF,
    TIMEOUT,
    HEARTBEAT,
    COMPENSATE,
];

/// The options of a pipeline.
#[derive(Debug, Default)]
pub(crate) struct PipelineOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) state: Option<Type>,
    pub(crate) steps: Option<Vec<StageSyntax>>,
    pub(crate) schedule: ScheduleSyntax,
    pub(crate) root: Option<Path>,
    pub(crate) keys: Keys,
}

/// An entry of `steps`.
#[derive(Debug)]
pub(crate) enum StageSyntax {
    Node(Box<NodeSyntax>),
    Parallel(Ident, Vec<NodeSyntax>),
}

/// A step with its options.
#[derive(Debug)]
pub(crate) struct NodeSyntax {
    pub(crate) step: Path,
    pub(crate) when: Option<Expr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) compensate: Option<Path>,
    pub(crate) retry: RetrySyntax,
}

impl NodeSyntax {
    pub(crate) fn plain(step: Path) -> Self {
        Self {
            step,
            when: None,
            name: None,
            compensate: None,
            retry: RetrySyntax::default(),
        }
    }
}

/// Reads the options.
pub(crate) fn parse_options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> PipelineOptions {
    let mut pipeline = PipelineOptions::default();
    let mut faults = Diagnostics::default();
    let keys = options::parse_all(tokens, diagnostics, |input, diagnostics| {
        options::read_all(input, "#[pipeline]", KNOWN, diagnostics, |key, input| {
            read(&mut pipeline, key, input, &mut faults)
        })
    });
    diagnostics.append(faults);
    pipeline.keys = keys.unwrap_or_default();
    pipeline
}

fn read(
    pipeline: &mut PipelineOptions,
    key: &str,
    input: ParseStream,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    match key {
        "name" => pipeline.name = Some(options::string(input, NAME.1)?),
        "version" if input.peek(LitInt) => pipeline.version = Some(input.parse()?),
        "version" => return Err(input.error(message::write_option(VERSION.1))),
        "state" => {
            let start = input.span();
            let state = input.parse();
            let form = |_| syn::Error::new(start, message::write_option(STATE.1));
            pipeline.state = Some(state.map_err(form)?);
        }
        "steps" if input.peek(token::Bracket) => {
            let content;
            let bracket = bracketed!(content in input);
            if content.is_empty() {
                diagnostics.error_at(bracket.span.join(), message::NO_STEPS);
            }
            pipeline.steps = Some(stages(&content, diagnostics));
        }
        "steps" => return Err(input.error(message::write_option(STEPS.1))),
        _ if pipeline.schedule.read(key, input)? => {}
        _ => pipeline.root = Some(options::root(input)?),
    }
    Ok(())
}

fn stages(input: ParseStream, diagnostics: &mut Diagnostics) -> Vec<StageSyntax> {
    let mut stages = Vec::new();
    while !input.is_empty() {
        match stage(input, diagnostics) {
            Ok(stage) => stages.extend(stage),
            Err(error) => {
                diagnostics.absorb(error);
                options::skip_to_comma(input);
            }
        }
        options::end_of_item(input, diagnostics);
    }
    stages
}

fn stage(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<Option<StageSyntax>> {
    if !(input.peek(Ident::peek_any) && input.peek2(token::Paren)) {
        return path(input)
            .map(NodeSyntax::plain)
            .map(Box::new)
            .map(StageSyntax::Node)
            .map(Some);
    }
    let word = input.call(Ident::parse_any)?;
    let content;
    parenthesized!(content in input);
    let stage = match word.to_string().as_str() {
        "step" => node(&word, &content, diagnostics)?
            .map(Box::new)
            .map(StageSyntax::Node),
        "parallel" if content.is_empty() => {
            diagnostics.error(word, message::EMPTY_PARALLEL);
            None
        }
        "parallel" => Some(StageSyntax::Parallel(word, members(&content, diagnostics))),
        unknown => {
            diagnostics.error(&word, message::unknown_word(unknown));
            None
        }
    };
    drain(&content);
    Ok(stage)
}

/// The members of `parallel(..)`.
fn members(input: ParseStream, diagnostics: &mut Diagnostics) -> Vec<NodeSyntax> {
    let mut members = Vec::new();
    while !input.is_empty() {
        if input.peek(Ident::peek_any) && input.peek2(Token![=]) {
            diagnostics.absorb(input.error(message::OPTION_OF_PARALLEL));
            options::skip_to_comma(input);
        }
        if input.is_empty() || input.peek(Token![,]) {
            options::end_of_item(input, diagnostics);
            continue;
        }
        match stage(input, diagnostics) {
            Ok(Some(StageSyntax::Node(node))) => members.push(*node),
            Ok(Some(StageSyntax::Parallel(word, _))) => {
                diagnostics.error(word, message::NESTED_PARALLEL);
            }
            Ok(None) => {}
            Err(error) => {
                diagnostics.absorb(error);
                options::skip_to_comma(input);
            }
        }
        options::end_of_item(input, diagnostics);
    }
    members
}

/// What stands in `step(..)`.
pub(super) fn node(
    word: &Ident,
    input: ParseStream,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Option<NodeSyntax>> {
    if input.is_empty() || input.peek(Ident::peek_any) && input.peek2(Token![=]) {
        diagnostics.error(word, message::STEP_WITHOUT_PATH);
        drain(input);
        return Ok(None);
    }
    let step = path(input);
    if step.is_err() {
        drain(input);
    }
    let mut node = NodeSyntax::plain(step?);
    options::end_of_item(input, diagnostics);
    options::read_all(input, "step(..)", NODE_KNOWN, diagnostics, |key, input| {
        match key {
            "when" => node.when = Some(input.parse()?),
            "name" => node.name = Some(options::string(input, NODE_NAME.1)?),
            "compensate" => node.compensate = Some(step::compensation(input)?),
            _ => node.retry.read(key, input)?,
        }
        Ok(())
    });
    Ok(Some(node))
}

pub(super) fn path(input: ParseStream) -> syn::Result<Path> {
    let start = input.span();
    let path = input.call(Path::parse_mod_style);
    path.map_err(|_| syn::Error::new(start, message::EXPECTED_STEP))
}

pub(super) fn drain(input: ParseStream) {
    while !input.is_empty() && input.parse::<proc_macro2::TokenTree>().is_ok() {}
}

/// Reads the struct that a workflow is declared on: a `pipeline` or a `graph`.
pub(crate) fn parse_item(
    item: &TokenStream,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> Option<ItemStruct> {
    let parsed = syn::parse2::<ItemStruct>(item.clone());
    if parsed.is_err() {
        diagnostics.error(first_word(item), message::workflow_is_no_struct(what));
    }
    parsed.ok()
}
