// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How the body is run: by the caller, or behind it too, with arguments of its own.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Pat, PatType, Receiver, Signature, Type};

use super::{parameters, plain_name};
use crate::diagnostics::{Diagnostics, message};
use crate::model::types;
use crate::parse::cached::CachedOptions;

/// How the body is run.
pub(crate) enum Loader {
    /// By the caller alone.
    InLine,
    /// Perhaps by a task that outlives the caller, and holds what the caller was given.
    Behind(Vec<Kept>),
}

/// A parameter that a refresh holds.
pub(crate) struct Kept {
    pub(crate) ident: Ident,
    pub(crate) is_mutable: bool,
    /// What a reference refers to; absent for a parameter that is owned.
    pub(crate) referent: Option<Type>,
}

/// Checks that a refresh can hold the parameters, where one may run behind.
pub(super) fn check(
    options: &CachedOptions,
    signature: &Signature,
    diagnostics: &mut Diagnostics,
) -> Loader {
    let refreshes = options.stale.is_some() || options.early.is_some();
    let is_in_line = options
        .refresh
        .as_ref()
        .is_some_and(|word| word.value() == "in_line");
    if !refreshes || is_in_line {
        return Loader::InLine;
    }
    if let Some(receiver) = signature.receiver()
        && !is_shared(receiver)
    {
        diagnostics.error(receiver, message::REFRESH_OF_SELF);
    }
    let has_receiver = signature.receiver().is_some();
    let kept = parameters(signature)
        .filter_map(|parameter| keep(parameter, has_receiver, diagnostics))
        .collect();
    Loader::Behind(kept)
}

/// Whether it is `&self`.
fn is_shared(receiver: &Receiver) -> bool {
    receiver.reference.is_some() && receiver.mutability.is_none() && receiver.colon_token.is_none()
}

fn keep(parameter: &PatType, has_receiver: bool, diagnostics: &mut Diagnostics) -> Option<Kept> {
    let Some(ident) = plain_name(parameter) else {
        // The body cannot use it, so a refresh need not hold it; a method's body is called with it.
        if has_receiver || !matches!(&*parameter.pat, Pat::Wild(_)) {
            diagnostics.error(&parameter.pat, message::REFRESH_OF_PATTERN);
        }
        return None;
    };
    let ty = &*parameter.ty;
    if types::has_impl_trait(ty) {
        diagnostics.error(ty, message::REFRESH_OF_IMPL_TRAIT);
        return None;
    }
    let referent = match ty {
        Type::Reference(reference) => {
            if reference.mutability.is_some() {
                diagnostics.error(ty, message::REFRESH_OF_MUTABLE);
                return None;
            }
            Some((*reference.elem).clone())
        }
        _ => None,
    };
    if has_reference(referent.as_ref().unwrap_or(ty).to_token_stream()) {
        diagnostics.error(ty, message::REFRESH_OF_REFERENCES);
        return None;
    }
    Some(Kept {
        ident: ident.clone(),
        is_mutable: is_mutable(parameter),
        referent,
    })
}

fn is_mutable(parameter: &PatType) -> bool {
    matches!(&*parameter.pat, Pat::Ident(pattern) if pattern.mutability.is_some())
}

/// Whether the type holds a reference or names a lifetime other than `'static`.
fn has_reference(tokens: TokenStream) -> bool {
    let mut is_lifetime = false;
    let mut reference: Option<Span> = None;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                // `&'static str` is kept as it is.
                if is_lifetime && ident == "static" {
                    reference = None;
                }
                is_lifetime = false;
            }
            TokenTree::Punct(punct) => {
                is_lifetime = punct.as_char() == '\'';
                if is_lifetime || punct.as_char() == '&' {
                    reference = Some(punct.span());
                } else if reference.is_some() {
                    return true;
                }
            }
            TokenTree::Group(group) => {
                if has_reference(group.stream()) {
                    return true;
                }
            }
            TokenTree::Literal(_) => {}
        }
    }
    reference.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_inside_a_type_are_seen() {
        for (ty, expected) in [
            ("Option<&str>", true),
            ("Cow<'_, str>", true),
            ("[&'a str]", true),
            ("(u8, &T)", true),
            ("Option<&'static str>", false),
            ("Vec<String>", false),
            ("str", false),
        ] {
            assert_eq!(has_reference(ty.parse().unwrap()), expected, "{ty}");
        }
    }
}
