// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A pipeline: its name, its version, its state, and its stages with their nodes.

use std::collections::HashSet;

use proc_macro2::{Ident, Span};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Expr, Fields, ItemStruct, LitInt, LitStr, Path, Type, parse_quote};

use super::name;
use super::retry::{self, Retry};
use super::schedule::{self, Schedule};
use crate::diagnostics::{Diagnostics, message};
use crate::parse::options::{Keys, Known};
use crate::parse::pipeline::{
    NAME, NodeSyntax, PipelineOptions, STATE, STEPS, StageSyntax, VERSION,
};
use crate::root::Root;

/// A checked pipeline.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) place: Place,
    pub(crate) name: LitStr,
    pub(crate) version: u32,
    pub(crate) stages: Vec<Stage>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) root: Root,
}

/// What the pipeline is declared on.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) ident: Ident,
    pub(crate) state: Type,
}

/// One after another.
#[derive(Debug)]
pub(crate) enum Stage {
    Step(Box<Node>),
    Parallel(Vec<Node>),
}

/// A step in its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) step: Path,
    /// Another name than the step's.
    pub(crate) name: Option<String>,
    pub(crate) when: Option<Expr>,
    pub(crate) compensation: Option<Path>,
    pub(crate) retry: Retry,
}

impl Node {
    /// Its own name, or that of its step.
    pub(crate) fn called(&self) -> String {
        let step = || last_segment(&self.step);
        self.name.clone().unwrap_or_else(step)
    }
}

/// Where the workflow is declared, a `pipeline` or a `graph`, and its state: the struct's own fields or
/// `state =`.
pub(crate) fn place(
    structure: &ItemStruct,
    what: &str,
    state: Option<&Type>,
    keys: &Keys,
    diagnostics: &mut Diagnostics,
) -> Option<Place> {
    let ident = structure.ident.clone();
    let generics = &structure.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        // Of a struct with fields the derive says it.
        if !matches!(structure.fields, Fields::Named(_)) {
            let clause = &generics.where_clause;
            diagnostics.error(quote!(#generics #clause), message::generic_workflow(what));
        }
        return None;
    }
    let state = match (&structure.fields, state) {
        (Fields::Unit, Some(state)) => state.clone(),
        (Fields::Unit, None) => {
            if !keys.contains(STATE.0) {
                let message = message::missing_option(&format!("#[{what}]"), STATE.1);
                diagnostics.error_at(Span::call_site(), message);
            }
            return None;
        }
        (Fields::Named(_), None) => parse_quote!(#ident),
        (Fields::Named(_), Some(state)) => {
            diagnostics.error(state, message::state_given_twice(&ident));
            parse_quote!(#ident)
        }
        (Fields::Unnamed(fields), _) => {
            diagnostics.error(fields, message::workflow_on_tuple(what));
            return None;
        }
    };
    Some(Place { ident, state })
}

/// Checks a pipeline. `None` when a part of it is missing; the errors tell which.
pub(crate) fn check(
    options: PipelineOptions,
    place: Option<&Place>,
    root: &Root,
    diagnostics: &mut Diagnostics,
) -> Option<Pipeline> {
    require(
        "#[pipeline]",
        &[NAME, VERSION, STEPS],
        &options.keys,
        diagnostics,
    );
    check_name(options.name.as_ref(), diagnostics);
    let version = options
        .version
        .and_then(|version| check_version(&version, diagnostics));
    let schedule = schedule::check(options.schedule, diagnostics);
    let stages = options
        .steps
        .map(|stages| check_stages(stages, diagnostics));
    Some(Pipeline {
        place: place?.clone(),
        name: options.name?,
        version: version?,
        stages: stages?,
        schedule,
        root: root.clone(),
    })
}

/// Reports the options that are missing.
pub(super) fn require(owner: &str, needed: &[Known], keys: &Keys, diagnostics: &mut Diagnostics) {
    for (name, form) in needed {
        if !keys.contains(name) {
            let message = message::missing_option(owner, form);
            diagnostics.error_at(Span::call_site(), message);
        }
    }
}

pub(super) fn check_name(name: Option<&LitStr>, diagnostics: &mut Diagnostics) {
    if let Some(name) = name
        && !name::is_workflow(&name.value())
    {
        diagnostics.error(name, message::workflow_name(&name.value()));
    }
}

pub(super) fn check_version(version: &LitInt, diagnostics: &mut Diagnostics) -> Option<u32> {
    let number = version.base10_parse().ok().filter(|number| *number > 0);
    if number.is_none() {
        diagnostics.error(version, message::VERSION_OUT_OF_RANGE);
    }
    number
}

fn check_stages(stages: Vec<StageSyntax>, diagnostics: &mut Diagnostics) -> Vec<Stage> {
    let mut names = HashSet::new();
    let mut checked = Vec::new();
    for stage in stages {
        checked.push(match stage {
            StageSyntax::Node(node) => {
                Stage::Step(Box::new(check_node(*node, &mut names, diagnostics)))
            }
            StageSyntax::Parallel(_, members) => {
                let members = members.into_iter();
                Stage::Parallel(
                    members
                        .map(|member| check_node(member, &mut names, diagnostics))
                        .collect(),
                )
            }
        });
    }
    checked
}

pub(super) fn check_node(
    syntax: NodeSyntax,
    names: &mut HashSet<String>,
    diagnostics: &mut Diagnostics,
) -> Node {
    let NodeSyntax {
        step,
        when,
        name,
        compensate,
        retry,
    } = syntax;
    let (text, culprit) = match &name {
        Some(name) => (name.value(), name.to_token_stream()),
        None => (last_segment(&step), step.to_token_stream()),
    };
    if !name::is_node(&text) {
        diagnostics.error(&culprit, message::node_name(&text));
    } else if !names.insert(text.clone()) {
        let step = last_segment(&step);
        diagnostics.error(&culprit, message::duplicate_node(&text, &step));
    }
    Node {
        step,
        name: name.map(|_| text),
        when,
        compensation: compensate,
        retry: retry::check(retry, diagnostics),
    }
}

pub(super) fn last_segment(path: &Path) -> String {
    path.segments
        .last()
        .map(|segment| segment.ident.unraw().to_string())
        .unwrap_or_default()
}
