// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a key is made of: what `key` names, or all parameters that nothing leaves out.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, PatType, Signature};

use super::{CACHE_PARAMETER, mentions, parameters, plain_name};
use crate::diagnostics::{Diagnostics, message};
use crate::parse::cached::CachedOptions;

const PARTS_MAX: usize = 8;

/// What a key is made of.
pub(crate) struct KeyModel {
    /// Each part, as a reference to it.
    pub(crate) parts: Vec<TokenStream>,
    /// The parameters that the parts are made of.
    pub(crate) parameters: Vec<PatType>,
}

/// Checks the key. `None` when it has too many parts.
pub(super) fn check(
    options: &CachedOptions,
    signature: &Signature,
    diagnostics: &mut Diagnostics,
) -> Option<KeyModel> {
    check_skip(options, signature, diagnostics);
    let mut key = match &options.key {
        Some((_, expressions)) => chosen(expressions, signature),
        None => all(options, signature, diagnostics),
    };
    let is_result_generic =
        |ident: &&Ident| mentions(&signature.output.to_token_stream(), &ident.to_string());
    let types = signature.generics.type_params().map(|param| &param.ident);
    for ident in types.filter(is_result_generic) {
        key.parts.push(quote!(::core::any::type_name::<#ident>()));
    }
    if key.parts.len() > PARTS_MAX {
        match &options.key {
            Some((place, _)) => diagnostics.error_at(*place, message::KEY_TOO_LONG),
            None => diagnostics.error(&signature.ident, message::KEY_TOO_LONG),
        }
        return None;
    }
    Some(key)
}

fn check_skip(options: &CachedOptions, signature: &Signature, diagnostics: &mut Diagnostics) {
    if let (Some(_), Some(skipped)) = (&options.key, options.skip.first()) {
        diagnostics.error(skipped, message::KEY_BESIDE_SKIP);
        return;
    }
    let mut names: Vec<String> = parameters(signature)
        .filter_map(plain_name)
        .map(ToString::to_string)
        .collect();
    if signature.receiver().is_some() {
        names.push("self".to_owned());
    }
    for skipped in &options.skip {
        let written = skipped.to_string();
        if !names.contains(&written) {
            let names = names.iter().map(String::as_str);
            diagnostics.error(skipped, message::no_such_parameter(&written, names));
        }
    }
}

/// The expressions of `key`, and the parameters that they mention.
fn chosen(expressions: &[Expr], signature: &Signature) -> KeyModel {
    let tokens: TokenStream = expressions.iter().map(ToTokens::to_token_stream).collect();
    let is_used = |parameter: &&PatType| {
        plain_name(parameter).is_some_and(|name| mentions(&tokens, &name.unraw().to_string()))
    };
    KeyModel {
        parts: expressions
            .iter()
            .map(|expression| quote_spanned!(expression.span()=> &#expression))
            .collect(),
        parameters: parameters(signature).filter(is_used).cloned().collect(),
    }
}

/// All parameters but the cache and those that are left out.
fn all(options: &CachedOptions, signature: &Signature, diagnostics: &mut Diagnostics) -> KeyModel {
    let is_skipped = |name: &Ident| options.skip.contains(name);
    if let Some(receiver) = signature.receiver()
        && !options.skip.iter().any(|name| name == "self")
    {
        diagnostics.error(receiver, message::SELF_IN_KEY);
    }
    let is_cache = |name: &Ident| match &options.cache {
        Some(expression) => mentions(&expression.to_token_stream(), &name.unraw().to_string()),
        None => name == CACHE_PARAMETER,
    };
    let mut key = KeyModel {
        parts: Vec::new(),
        parameters: Vec::new(),
    };
    for parameter in parameters(signature) {
        match plain_name(parameter) {
            Some(name) if is_skipped(name) || is_cache(name) => {}
            Some(name) => {
                let ty = parameter.ty.span();
                key.parts.push(quote_spanned!(ty=> &#name));
                key.parameters.push(parameter.clone());
            }
            None => diagnostics.error(&parameter.pat, message::PATTERN_IN_KEY),
        }
    }
    key
}
