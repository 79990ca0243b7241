// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The struct, its `Workflow` in the words of the plain builder, and its registration.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Fields, ItemStruct, LitStr, Meta, Path, Token, Type};

use super::schedule::with_schedule;
use super::step::undo;
use super::{cfgs, retry};
use crate::model::pipeline::{Node, Pipeline, Place, Stage};
use crate::root::Root;

/// Expands a pipeline.
pub(crate) fn expand(pipeline: &Pipeline, item: &ItemStruct) -> TokenStream {
    let Pipeline {
        place,
        name,
        version,
        stages,
        schedule,
        root,
    } = pipeline;
    let private = root.private();
    let state = &place.state;
    let assertions = stages.iter().filter_map(|stage| match stage {
        Stage::Step(_) => None,
        Stage::Parallel(members) => shared_fields(members, state, root),
    });
    let assertions: TokenStream = assertions.collect();
    let stages = stages.iter().map(|stage| match stage {
        Stage::Step(one) => {
            let one = node(one, state, root);
            quote!(.step(#one))
        }
        Stage::Parallel(members) => {
            let members = members.iter().map(|member| node(member, state, root));
            quote!(.parallel([#(#members),*]))
        }
    });
    let builder = quote! {
        #private::Pipeline::<#state>::new(#name, #version)
            #(#stages)*
    };
    let builder = with_schedule(builder, schedule.as_ref(), root);
    let declaration = quote!(#assertions #builder.build());
    workflow(item, place, name, *version, &declaration, root)
}

/// Refuses two members of a parallel group that write one field without a reducer, at the second.
fn shared_fields(members: &[Node], state: &Type, root: &Root) -> Option<TokenStream> {
    if members.len() < 2 {
        return None;
    }
    let private = root.private();
    let declared = members.iter().map(|member| {
        let (step, name) = (&member.step, member.called());
        quote!((#name, <#step as #private::Step<#state>>::WRITES))
    });
    let count = members.len();
    let assertions = members
        .iter()
        .enumerate()
        .skip(1)
        .map(|(position, member)| {
            let span = member.step.span();
            let private = root.private_at(span);
            quote_spanned! {span=>
                const _: () = #private::refuse_shared_field::<#state>(&MEMBERS, #position);
            }
        });
    Some(quote! {
        const _: () = {
            const MEMBERS: [#private::ParallelMember; #count] = [#(#declared),*];
            #(#assertions)*
        };
    })
}

/// The struct, the `Workflow` that is declared on it, and its registration.
pub(super) fn workflow(
    item: &ItemStruct,
    Place { ident, state }: &Place,
    name: &LitStr,
    version: u32,
    declaration: &TokenStream,
    root: &Root,
) -> TokenStream {
    let private = root.private();
    let structure = structure(item, root);
    let conditions: Vec<_> = cfgs(&item.attrs).collect();
    quote! {
        #structure
        #(#conditions)*
        #[automatically_derived]
        impl #private::Workflow for #ident {
            type State = #state;
            const NAME: &'static str = #name;
            const VERSION: u32 = #version;
            fn declare() -> #private::Declaration {
                #declaration
            }
        }
        #(#conditions)*
        #private::inventory::submit! {
            #private::Registration::of::<#ident>(::core::module_path!())
        }
    }
}

pub(super) fn node(node: &Node, state: &Type, root: &Root) -> TokenStream {
    let private = root.private();
    let (step, name) = (&node.step, node.name.iter());
    let when = node
        .when
        .as_ref()
        .map(|when| quote_spanned!(when.span()=> .when(#when)));
    let undo = node.compensation.iter().map(|path| undo(path, state, root));
    let retry = retry::calls(&node.retry, root);
    quote! {
        #private::Node::<#state>::of::<#step>()
            #(.named(#name))*
            #when
            #(.compensate(#undo))*
            #retry
    }
}

/// The struct. One with fields is the state, so it gets the derive that makes it one.
pub(crate) fn structure(item: &ItemStruct, root: &Root) -> TokenStream {
    if !matches!(item.fields, Fields::Named(_)) || derives_state(item) {
        return quote!(#item);
    }
    let private = root.private();
    let has_root = item
        .attrs
        .iter()
        .any(|attribute| attribute.path().is_ident("state"));
    let root = (!has_root).then(|| quote!(#[state(crate = #root)]));
    quote! {
        #[derive(#private::State)]
        #root
        #item
    }
}

/// Whether the struct has a `#[derive(State)]` of its own.
fn derives_state(item: &ItemStruct) -> bool {
    let derives = item
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("derive"))
        .filter(|attribute| matches!(attribute.meta, Meta::List(_)));
    derives
        .filter_map(|derive| {
            derive
                .parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)
                .ok()
        })
        .flatten()
        .any(|path| {
            path.segments
                .last()
                .is_some_and(|last| last.ident == "State")
        })
}
