// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[graph(..)]` as written.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{
    Expr, LitInt, LitStr, Pat, Path, Token, Type, TypePath, braced, bracketed, parenthesized, token,
};

use super::options::{self, CRATE, Keys, Known};
use super::pipeline::{self, NAME, NodeSyntax, STATE, VERSION};
use super::schedule::{CATCH_UP, CRON, INPUT, OVERLAP, ScheduleSyntax, TIMEZONE};
use crate::diagnostics::{Diagnostics, message};

pub(crate) const TOPOLOGY: Known = (
    "topology",
    "topology = [edge(START, first_step), edge(first_step, END)]",
);
pub(crate) const ENTRY: Known = ("entry", "entry = first_step");
const TERMINAL: Known = ("terminal", "terminal = [one_step, other_step]");
const NODES: Known = ("nodes", "nodes = { one_step, other_name: other_step }");
const MAX_VISITS: Known = ("max_visits", "max_visits = 100");
const KNOWN: &[Known] = &[
    NAME, VERSION, STATE, NODES, ENTRY, TERMINAL, TOPOLOGY, MAX_VISITS, CRON, TIMEZONE, OVERLAP,
    CATCH_UP, INPUT, CRATE,
];

const ON: Known = ("on", "on = MySignal");
const AFTER: Known = ("after", "after = \"7d\"");
const WAIT_KNOWN: &[Known] = &[ON, AFTER];

/// The options of a graph.
#[derive(Debug, Default)]
pub(crate) struct GraphOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) state: Option<Type>,
    /// The steps, each under the name that stands before it.
    pub(crate) nodes: Option<Vec<(Option<Ident>, NodeSyntax)>>,
    pub(crate) entry: Option<Path>,
    pub(crate) terminals: Vec<Path>,
    pub(crate) topology: Option<Vec<EdgeSyntax>>,
    pub(crate) max_visits: Option<LitInt>,
    pub(crate) schedule: ScheduleSyntax,
    pub(crate) root: Option<Path>,
    pub(crate) keys: Keys,
}

/// An entry of `topology`.
#[derive(Debug)]
pub(crate) enum EdgeSyntax {
    Edge {
        from: Path,
        to: Path,
    },
    Conditional {
        from: Path,
        router: Box<Expr>,
        branches: Vec<(Path, Path)>,
        /// The braces.
        span: Span,
    },
    Wait {
        from: Path,
        to: Path,
        on: Option<TypePath>,
        after: Option<LitStr>,
        /// Whether an option was written, or meant, so that none is missed.
        is_given: bool,
        word: Ident,
    },
}

impl EdgeSyntax {
    /// Where the edge leaves.
    pub(crate) fn from(&self) -> &Path {
        let (Self::Edge { from, .. } | Self::Conditional { from, .. } | Self::Wait { from, .. }) =
            self;
        from
    }
}

/// Reads the options.
pub(crate) fn parse_options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> GraphOptions {
    let mut graph = GraphOptions::default();
    let mut faults = Diagnostics::default();
    let keys = options::parse_all(tokens, diagnostics, |input, diagnostics| {
        options::read_all(input, "#[graph]", KNOWN, diagnostics, |key, input| {
            read(&mut graph, key, input, &mut faults)
        })
    });
    diagnostics.append(faults);
    graph.keys = keys.unwrap_or_default();
    graph
}

fn read(
    graph: &mut GraphOptions,
    key: &str,
    input: ParseStream,
    diagnostics: &mut Diagnostics,
) -> syn::Result<()> {
    let start = input.span();
    match key {
        "name" => graph.name = Some(options::string(input, NAME.1)?),
        "version" if input.peek(LitInt) => graph.version = Some(input.parse()?),
        "version" => return Err(input.error(message::write_option(VERSION.1))),
        "max_visits" if input.peek(LitInt) => graph.max_visits = Some(input.parse()?),
        "max_visits" => return Err(input.error(message::write_option(MAX_VISITS.1))),
        "state" => {
            let form = |_| syn::Error::new(start, message::write_option(STATE.1));
            graph.state = Some(input.parse().map_err(form)?);
        }
        "nodes" if input.peek(token::Brace) => {
            let content;
            braced!(content in input);
            graph.nodes = Some(items(&content, diagnostics, node));
        }
        "nodes" => return Err(input.error(message::write_option(NODES.1))),
        "entry" => graph.entry = Some(reference(input)?),
        "terminal" if input.peek(token::Bracket) => {
            let content;
            let bracket = bracketed!(content in input);
            if content.is_empty() {
                diagnostics.error_at(bracket.span.join(), message::write_option(TERMINAL.1));
            }
            graph.terminals = items(&content, diagnostics, |input, _| reference(input).map(Some));
        }
        "terminal" => graph.terminals = vec![reference(input)?],
        "topology" if input.peek(token::Bracket) => {
            let content;
            let bracket = bracketed!(content in input);
            if content.is_empty() {
                diagnostics.error_at(bracket.span.join(), message::NO_EDGES);
            }
            graph.topology = Some(items(&content, diagnostics, edge));
        }
        "topology" => return Err(input.error(message::write_option(TOPOLOGY.1))),
        _ if graph.schedule.read(key, input)? => {}
        _ => graph.root = Some(options::root(input)?),
    }
    Ok(())
}

/// Items with commas between them; one that cannot be understood is reported and left out.
fn items<T>(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
    read: impl Fn(ParseStream, &mut Diagnostics) -> syn::Result<Option<T>>,
) -> Vec<T> {
    let mut items = Vec::new();
    while !input.is_empty() {
        match read(input, diagnostics) {
            Ok(item) => items.extend(item),
            Err(error) => {
                diagnostics.absorb(error);
                options::skip_to_comma(input);
            }
        }
        options::end_of_item(input, diagnostics);
    }
    items
}

/// `path::to::step`, `step(path, ..)`, or either after `name:`.
fn node(
    input: ParseStream,
    diagnostics: &mut Diagnostics,
) -> syn::Result<Option<(Option<Ident>, NodeSyntax)>> {
    let is_named =
        input.peek(Ident::peek_any) && input.peek2(Token![:]) && !input.peek2(Token![::]);
    let name = if is_named {
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![:]>()?;
        Some(name)
    } else {
        None
    };
    if !(input.peek(Ident::peek_any) && input.peek2(token::Paren)) {
        let step = pipeline::path(input)?;
        return Ok(Some((name, NodeSyntax::plain(step))));
    }
    let word = input.call(Ident::parse_any)?;
    let content;
    parenthesized!(content in input);
    if word != "step" {
        diagnostics.error(&word, message::unknown_word(&word.to_string()));
        pipeline::drain(&content);
        return Ok(None);
    }
    let node = pipeline::node(&word, &content, diagnostics)?;
    Ok(node.map(|node| (name, node)))
}

fn edge(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<Option<EdgeSyntax>> {
    if !(input.peek(Ident::peek_any) && input.peek2(token::Paren)) {
        return Err(input.error(message::EXPECTED_EDGE));
    }
    let word = input.call(Ident::parse_any)?;
    let content;
    parenthesized!(content in input);
    let read = match word.to_string().as_str() {
        "edge" => simple(&content),
        "conditional" => conditional(&content, diagnostics),
        "wait_edge" => waiting(word, &content, diagnostics),
        unknown => {
            diagnostics.error(&word, message::unknown_edge_word(unknown));
            pipeline::drain(&content);
            return Ok(None);
        }
    };
    if read.is_ok() && !content.is_empty() {
        diagnostics.absorb(content.error(message::EXPECTED_EDGE));
    }
    pipeline::drain(&content);
    read.map(Some)
}

fn simple(input: ParseStream) -> syn::Result<EdgeSyntax> {
    let from = reference(input)?;
    comma(input)?;
    let to = reference(input)?;
    let _: Option<Token![,]> = input.parse()?;
    Ok(EdgeSyntax::Edge { from, to })
}

fn conditional(input: ParseStream, diagnostics: &mut Diagnostics) -> syn::Result<EdgeSyntax> {
    let from = reference(input)?;
    comma(input)?;
    let router = Box::new(input.parse()?);
    comma(input)?;
    if !input.peek(token::Brace) {
        return Err(input.error(message::EXPECTED_BRANCHES));
    }
    let content;
    let brace = braced!(content in input);
    let span = brace.span.join();
    if content.is_empty() {
        diagnostics.error_at(span, message::NO_BRANCHES);
    }
    let branches = items(&content, diagnostics, |input, _| branch(input).map(Some));
    let _: Option<Token![,]> = input.parse()?;
    Ok(EdgeSyntax::Conditional {
        from,
        router,
        branches,
        span,
    })
}

/// `wait_edge(from, to, on = Signal)` or `wait_edge(from, to, after = "7d")`
fn waiting(
    word: Ident,
    input: ParseStream,
    diagnostics: &mut Diagnostics,
) -> syn::Result<EdgeSyntax> {
    let from = reference(input)?;
    comma(input)?;
    let to = reference(input)?;
    let _: Option<Token![,]> = input.parse()?;
    let (mut on, mut after) = (None, None);
    let keys = options::read_all(
        input,
        "wait_edge(..)",
        WAIT_KNOWN,
        diagnostics,
        |key, input| {
            if key == ON.0 {
                let start = input.span();
                let form = |_| syn::Error::new(start, message::write_option(ON.1));
                on = Some(input.parse().map_err(form)?);
            } else {
                after = Some(options::string(input, AFTER.1)?);
            }
            Ok(())
        },
    );
    let is_given = keys.contains(ON.0) || keys.contains(AFTER.0);
    Ok(EdgeSyntax::Wait {
        from,
        to,
        on,
        after,
        is_given,
        word,
    })
}

/// `Route::Answer => node`
fn branch(input: ParseStream) -> syn::Result<(Path, Path)> {
    let pattern = Pat::parse_multi_with_leading_vert(input)
        .map_err(|_| input.error(message::EXPECTED_BRANCHES))?;
    let answer = match &pattern {
        Pat::Path(path) if path.qself.is_none() && path.path.segments.len() > 1 => {
            path.path.clone()
        }
        _ => return Err(syn::Error::new(pattern.span(), message::PLAIN_VARIANT)),
    };
    if input.peek(Token![if]) {
        return Err(input.error(message::PLAIN_VARIANT));
    }
    input
        .parse::<Token![=>]>()
        .map_err(|_| input.error(message::EXPECTED_BRANCHES))?;
    Ok((answer, reference(input)?))
}

/// A node by the name or path of its step, `START` or `END`.
fn reference(input: ParseStream) -> syn::Result<Path> {
    let start = input.span();
    let path = input.call(Path::parse_mod_style);
    path.map_err(|_| syn::Error::new(start, message::EXPECTED_NODE))
}

fn comma(input: ParseStream) -> syn::Result<()> {
    let comma: syn::Result<Token![,]> = input.parse();
    comma
        .map(|_| ())
        .map_err(|_| input.error(message::EXPECTED_EDGE))
}
