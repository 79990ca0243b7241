// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[cached(..)]` as written.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, ItemFn, Lit, LitInt, LitStr, Path, Token, parenthesized, token};

use super::options::{self, CRATE, Keys, Known};
use super::{first_word, pipeline};
use crate::diagnostics::{Diagnostics, message};

pub(crate) const OWNER: &str = "#[cached]";
pub(crate) const TTL: Known = ("ttl", "ttl = \"5m\"");
pub(crate) const NAMESPACE: Known = ("namespace", "namespace = \"user.profile\"");
pub(crate) const CACHE: Known = ("cache", "cache = self.cache");
pub(crate) const KEY: Known = ("key", "key = (user_id, org.id)");
const SKIP: Known = ("skip", "skip(ctx, self)");
const VERSION: Known = ("version", "version = 2");
pub(crate) const NEGATIVE_TTL: Known = ("negative_ttl", "negative_ttl = \"10s\"");
pub(crate) const STALE: Known = ("stale", "stale = \"1h\"");
pub(crate) const STALE_IF_ERROR: Known = ("stale_if_error", "stale_if_error = \"1d\"");
pub(crate) const EARLY: Known = ("early", "early, or early = 1.5");
pub(crate) const REFRESH: Known = ("refresh", "refresh = \"in_line\"");
pub(crate) const SINGLE_FLIGHT: Known = ("single_flight", "single_flight = \"cluster\"");
pub(crate) const LEASE: Known = ("lease", "lease = \"2s\"");
pub(crate) const JITTER: Known = ("jitter", "jitter = 0.1");
pub(crate) const LOCAL: Known = ("local", "local = \"30s\"");
const TAGS: Known = ("tags", "tags = (\"org:{org_id}\")");
const FAIL_CLOSED: Known = ("fail_closed", "fail_closed");

const KNOWN: &[Known] = &[
    TTL,
    NAMESPACE,
    CACHE,
    KEY,
    SKIP,
    VERSION,
    NEGATIVE_TTL,
    STALE,
    STALE_IF_ERROR,
    EARLY,
    REFRESH,
    SINGLE_FLIGHT,
    LEASE,
    JITTER,
    LOCAL,
    TAGS,
    FAIL_CLOSED,
    CRATE,
];

/// The options of a cached function.
#[derive(Default)]
pub(crate) struct CachedOptions {
    pub(crate) ttl: Option<LitStr>,
    pub(crate) namespace: Option<LitStr>,
    pub(crate) cache: Option<Expr>,
    /// Where `key` stands, and what it names.
    pub(crate) key: Option<(Span, Vec<Expr>)>,
    pub(crate) skip: Vec<Ident>,
    pub(crate) version: Option<LitInt>,
    pub(crate) negative_ttl: Option<LitStr>,
    pub(crate) stale: Option<LitStr>,
    pub(crate) stale_if_error: Option<LitStr>,
    /// Where `early` stands, and its factor where one is written.
    pub(crate) early: Option<(Span, Option<Lit>)>,
    pub(crate) refresh: Option<LitStr>,
    pub(crate) single_flight: Option<LitStr>,
    pub(crate) lease: Option<LitStr>,
    pub(crate) jitter: Option<Lit>,
    pub(crate) local: Option<LitStr>,
    pub(crate) tags: Vec<Expr>,
    /// Where `fail_closed` stands.
    pub(crate) fail_closed: Option<Span>,
    pub(crate) root: Option<Path>,
    /// The options that were written, or meant.
    pub(crate) keys: Keys,
}

/// Reads the options.
pub(crate) fn parse_options(tokens: TokenStream, diagnostics: &mut Diagnostics) -> CachedOptions {
    let mut cached = CachedOptions::default();
    let keys = options::parse_all(tokens, diagnostics, |input, diagnostics| {
        options::read_all_with_keys(input, OWNER, KNOWN, diagnostics, |name, key, input| {
            cached.read(name, key.span(), input)
        })
    });
    cached.keys = keys.unwrap_or_default();
    cached
}

impl CachedOptions {
    fn read(&mut self, name: &str, place: Span, input: ParseStream) -> syn::Result<()> {
        let text = |form: Known| options::string(input, form.1).map(Some);
        match name {
            "ttl" => self.ttl = text(TTL)?,
            "namespace" => self.namespace = text(NAMESPACE)?,
            "cache" => self.cache = Some(expression(input, CACHE)?),
            "key" => self.key = Some((place, list(input, KEY)?)),
            "skip" => self.skip.extend(names(input)?),
            "version" => self.version = Some(value(input, VERSION)?),
            "negative_ttl" => self.negative_ttl = text(NEGATIVE_TTL)?,
            "stale" => self.stale = text(STALE)?,
            "stale_if_error" => self.stale_if_error = text(STALE_IF_ERROR)?,
            "early" => {
                let is_alone = input.is_empty() || input.peek(Token![,]);
                let factor = (!is_alone).then(|| value(input, EARLY)).transpose()?;
                self.early = Some((place, factor));
            }
            "refresh" => self.refresh = text(REFRESH)?,
            "single_flight" => self.single_flight = text(SINGLE_FLIGHT)?,
            "lease" => self.lease = text(LEASE)?,
            "jitter" => self.jitter = Some(value(input, JITTER)?),
            "local" => self.local = text(LOCAL)?,
            "tags" => self.tags = list(input, TAGS)?,
            "fail_closed" => self.fail_closed = Some(place),
            _ => self.root = Some(options::root(input)?),
        }
        Ok(())
    }
}

/// A value of one token's kind, or an error that shows the form of the option.
fn value<T: Parse>(input: ParseStream, form: Known) -> syn::Result<T> {
    let start = input.span();
    let value = input.parse();
    value.map_err(|_| syn::Error::new(start, message::write_option(form.1)))
}

fn expression(input: ParseStream, form: Known) -> syn::Result<Expr> {
    value(input, form)
}

/// Expressions in parentheses, or one without.
fn list(input: ParseStream, form: Known) -> syn::Result<Vec<Expr>> {
    if !input.peek(token::Paren) {
        return Ok(vec![expression(input, form)?]);
    }
    let start = input.span();
    let content;
    parenthesized!(content in input);
    let expressions = Punctuated::<Expr, Token![,]>::parse_terminated(&content);
    if let Ok(expressions) = expressions {
        Ok(expressions.into_iter().collect())
    } else {
        pipeline::drain(&content);
        Err(syn::Error::new(start, message::write_option(form.1)))
    }
}

/// Names of parameters in parentheses, `self` among them.
fn names(input: ParseStream) -> syn::Result<Vec<Ident>> {
    let content;
    parenthesized!(content in input);
    let start = content.span();
    let names = Punctuated::<Ident, Token![,]>::parse_terminated_with(&content, Ident::parse_any);
    match names {
        Ok(names) if !names.is_empty() => Ok(names.into_iter().collect()),
        _ => {
            pipeline::drain(&content);
            Err(syn::Error::new(start, message::write_option(SKIP.1)))
        }
    }
}

/// Reads the function.
pub(crate) fn parse_item(item: &TokenStream, diagnostics: &mut Diagnostics) -> Option<ItemFn> {
    let parsed = syn::parse2::<ItemFn>(item.clone());
    if parsed.is_err() {
        diagnostics.error(first_word(item), message::CACHED_IS_NO_FUNCTION);
    }
    parsed.ok()
}
