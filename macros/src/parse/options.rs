// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Options, separated by commas, in any order: `key = value`, `key(list)` or `key` alone, as each is
//! known.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::token::Paren;
use syn::{LitStr, Path, Token};

use crate::diagnostics::{Diagnostics, message, nearest};

/// An option that exists: its key and how it is written.
pub(crate) type Known = (&'static str, &'static str);

/// `crate =`, which all macros take.
pub(crate) const CRATE: Known = ("crate", "crate = ::path");

/// The keys that were written, or meant: a misspelt key is not also reported as missing.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashSet<&'static str>);

impl Keys {
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains(key)
    }
}

/// Parses all of `tokens` with `read`, which must consume them.
pub(crate) fn parse_all<T>(
    tokens: TokenStream,
    diagnostics: &mut Diagnostics,
    read: impl FnOnce(ParseStream, &mut Diagnostics) -> T,
) -> Option<T> {
    let parsed = (|input: ParseStream| Ok(read(input, diagnostics))).parse2(tokens);
    diagnostics.ok(parsed)
}

/// Reads options up to the end of `input`. `read` is called with each known key, once, and parses
/// its value.
pub(crate) fn read_all(
    input: ParseStream,
    owner: &str,
    known: &[Known],
    diagnostics: &mut Diagnostics,
    mut read: impl FnMut(&'static str, ParseStream) -> syn::Result<()>,
) -> Keys {
    read_all_with_keys(input, owner, known, diagnostics, |name, _, input| {
        read(name, input)
    })
}

/// The same, with the key as it was written, for its span.
pub(crate) fn read_all_with_keys(
    input: ParseStream,
    owner: &str,
    known: &[Known],
    diagnostics: &mut Diagnostics,
    mut read: impl FnMut(&'static str, &Ident, ParseStream) -> syn::Result<()>,
) -> Keys {
    let mut keys = Keys::default();
    while !input.is_empty() {
        let value = read_one(input, owner, known, &mut keys, diagnostics, &mut read);
        if let Err(error) = value {
            diagnostics.absorb(error);
            skip_to_comma(input);
        }
        end_of_item(input, diagnostics);
    }
    keys
}

fn read_one(
    input: ParseStream,
    owner: &str,
    known: &[Known],
    keys: &mut Keys,
    diagnostics: &mut Diagnostics,
    read: &mut impl FnMut(&'static str, &Ident, ParseStream) -> syn::Result<()>,
) -> syn::Result<()> {
    let Ok(key) = input.call(Ident::parse_any) else {
        return Err(input.error(message::expected_option(owner, known)));
    };
    let text = key.to_string();
    let Some((name, form)) = known.iter().find(|(name, _)| *name == text) else {
        if let Some((meant, _)) = similar(&text, known) {
            keys.0.insert(meant);
        }
        diagnostics.error(&key, message::unknown_option(owner, &text, known));
        skip_to_comma(input);
        return Ok(());
    };
    let is_list = form.ends_with(')') && !form.contains('=');
    // `name, or name = value`.
    let may_stand_alone = form.contains(", or ");
    if !keys.0.insert(name) && !is_list {
        diagnostics.error(&key, message::duplicate_option(name));
        skip_to_comma(input);
        return Ok(());
    }
    let ends = |input: ParseStream| input.is_empty() || input.peek(Token![,]);
    let is_written_so = if is_list {
        input.peek(Paren)
    } else if form.contains('=') {
        let equals: Option<Token![=]> = input.parse()?;
        if equals.is_some() {
            !ends(input)
        } else {
            may_stand_alone && ends(input)
        }
    } else {
        ends(input)
    };
    if !is_written_so {
        skip_to_comma(input);
        return Err(syn::Error::new_spanned(&key, message::write_option(form)));
    }
    read(name, &key, input)
}

/// The known option that a misspelt key was meant to be.
pub(crate) fn similar(text: &str, known: &[Known]) -> Option<Known> {
    let near = nearest(text, known.iter().map(|(name, _)| *name))?;
    known.iter().find(|(name, _)| *name == near).copied()
}

/// After an item: the comma, or the end. Anything else is reported and passed over.
pub(crate) fn end_of_item(input: ParseStream, diagnostics: &mut Diagnostics) {
    if !input.is_empty() && !input.peek(Token![,]) {
        diagnostics.absorb(input.error(message::EXPECTED_COMMA));
        skip_to_comma(input);
    }
    let _: syn::Result<Option<Token![,]>> = input.parse();
}

/// Passes over what cannot be understood.
pub(crate) fn skip_to_comma(input: ParseStream) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// A string, or an error that shows the form of the option.
pub(crate) fn string(input: ParseStream, form: &str) -> syn::Result<LitStr> {
    if input.peek(LitStr) {
        input.parse()
    } else {
        Err(input.error(message::write_option(form)))
    }
}

/// The path of `crate =`.
pub(crate) fn root(input: ParseStream) -> syn::Result<Path> {
    let start = input.span();
    input
        .call(Path::parse_mod_style)
        .map_err(|_| syn::Error::new(start, message::write_option(CRATE.1)))
}
