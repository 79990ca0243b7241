// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The struct, its `Workflow` in the words of the plain builder, and its registration.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemStruct, Path};

use super::pipeline::{node, workflow};
use super::schedule::with_schedule;
use crate::model::graph::{Anchor, Edge, Event, Graph};
use crate::root::Root;

/// Expands a graph.
pub(crate) fn expand(graph: &Graph, item: &ItemStruct) -> TokenStream {
    let Graph {
        place,
        name,
        version,
        nodes,
        edges,
        max_visits,
        schedule,
        root,
    } = graph;
    let private = root.private();
    let state = &place.state;
    let nodes = nodes.iter().map(|one| node(one, state, root));
    let edges = edges.iter().map(|one| edge(one, root));
    let max_visits = max_visits.iter();
    let builder = quote! {
        #private::Graph::<#state>::new(#name, #version)
            #(.node(#nodes))*
            #(.max_visits(#max_visits))*
            #(#edges)*
    };
    let builder = with_schedule(builder, schedule.as_ref(), root);
    let declaration = quote!(#builder.build());
    workflow(item, place, name, *version, &declaration, root)
}

fn edge(edge: &Edge, root: &Root) -> TokenStream {
    match edge {
        Edge::Plain { from, to } => {
            let (from, to) = (anchor(from, root), anchor(to, root));
            quote!(.edge(#from, #to))
        }
        Edge::Entry(node) => {
            let node = anchor(node, root);
            quote!(.entry(#node))
        }
        Edge::Terminal(node) => {
            let node = anchor(node, root);
            quote!(.terminal(#node))
        }
        Edge::Wait { from, to, event } => {
            let (from, to) = (anchor(from, root), anchor(to, root));
            match event {
                Event::Signal(signal) => {
                    quote_spanned!(signal.span()=> .wait_edge::<#signal>(#from, #to))
                }
                Event::After(milliseconds) => {
                    let private = root.private();
                    let after = quote!(#private::milliseconds(#milliseconds));
                    quote!(.wait_edge_after(#from, #to, #after))
                }
            }
        }
        Edge::Conditional {
            from,
            router,
            branches,
            span,
        } => {
            let from = anchor(from, root);
            let answers: Vec<&Path> = branches.iter().map(|(answer, _)| answer).collect();
            let targets = branches.iter().map(|(_, to)| anchor(to, root));
            let route = answers.first().map(|answer| enum_of(answer));
            // An answer without a target is the compiler's own error, at the braces.
            let exhaustive = quote_spanned! {*span=>
                const _: fn(#route) = |route| match route { #(#answers => {})* };
            };
            quote_spanned! {router.span()=>
                .conditional(#from, #router, {
                    #exhaustive
                    [#((#answers, #targets)),*]
                })
            }
        }
    }
}

fn anchor(anchor: &Anchor, root: &Root) -> TokenStream {
    let private = root.private();
    match anchor {
        Anchor::Start => quote!(#private::START),
        Anchor::Node(name) => quote!(#name),
        Anchor::End => quote!(#private::END),
    }
}

/// The path of a variant without the variant.
fn enum_of(variant: &Path) -> Path {
    let mut path = variant.clone();
    path.segments.pop();
    path.segments.pop_punct();
    path
}
