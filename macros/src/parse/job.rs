// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `#[derive(Job)]` as written.

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Attribute, Data, DeriveInput, Fields, LitInt, LitStr, Meta, Path, Token};

use super::options::{self, CRATE, Known};
use super::pipeline;
use super::retry::{BACKOFF, MAX_ATTEMPTS, RetrySyntax, TIMEOUT};
use super::schedule::{CRON, ScheduleSyntax, TIMEZONE};
use crate::diagnostics::{Diagnostics, message};

const QUEUE: Known = ("queue", "queue = \"mail\"");
const PRIORITY: Known = ("priority", "priority = 5");
const UNIQUE: Known = ("unique", "unique = until_done");
const TENANT: Known = ("tenant", "tenant = \"field\"");
const LIMIT_KEY: Known = ("limit_key", "limit_key = \"field\"");
const CONCURRENCY: Known = ("concurrency", "concurrency = 3");
const RATE: Known = ("rate", "rate = \"100/1m\"");
const KNOWN: &[Known] = &[
    QUEUE,
    MAX_ATTEMPTS,
    TIMEOUT,
    BACKOFF,
    PRIORITY,
    UNIQUE,
    TENANT,
    LIMIT_KEY,
    CONCURRENCY,
    RATE,
    CRON,
    TIMEZONE,
    CRATE,
];

/// The struct or enum, and what its attribute says.
#[derive(Debug)]
pub(crate) struct JobSyntax {
    pub(crate) ident: Ident,
    /// The named fields; none of an enum or a tuple.
    pub(crate) fields: Vec<Ident>,
    pub(crate) name: Option<LitStr>,
    pub(crate) options: JobOptions,
}

/// The options as written.
#[derive(Debug, Default)]
pub(crate) struct JobOptions {
    pub(crate) queue: Option<LitStr>,
    pub(crate) retry: RetrySyntax,
    pub(crate) priority: Option<PrioritySyntax>,
    pub(crate) unique: Option<UniqueSyntax>,
    pub(crate) tenant: Option<LitStr>,
    pub(crate) limit_key: Option<LitStr>,
    pub(crate) concurrency: Option<LitInt>,
    pub(crate) rate: Option<LitStr>,
    pub(crate) schedule: ScheduleSyntax,
    pub(crate) root: Option<Path>,
}

/// A whole number with its sign.
#[derive(Debug)]
pub(crate) struct PrioritySyntax {
    pub(crate) is_negative: bool,
    pub(crate) number: LitInt,
}

/// A word, or for how long.
#[derive(Debug)]
pub(crate) enum UniqueSyntax {
    Word(Ident),
    For(LitStr),
}

/// Reads the item; `None` when it can be no job at all.
pub(crate) fn parse(input: TokenStream, diagnostics: &mut Diagnostics) -> Option<JobSyntax> {
    let input: DeriveInput = diagnostics.ok(syn::parse2(input))?;
    let generics = &input.generics;
    if !generics.params.is_empty() || generics.where_clause.is_some() {
        if generics.params.is_empty() {
            diagnostics.error(&generics.where_clause, message::GENERIC_JOB);
        } else {
            diagnostics.error(&generics.params, message::GENERIC_JOB);
        }
        return None;
    }
    let fields = match &input.data {
        Data::Struct(data) => named(&data.fields),
        Data::Enum(_) => Vec::new(),
        Data::Union(data) => {
            diagnostics.error(data.union_token, message::JOB_IS_UNION);
            return None;
        }
    };
    let mut job = JobSyntax {
        ident: input.ident,
        fields,
        name: None,
        options: JobOptions::default(),
    };
    let attributes = input.attrs.iter();
    let mut attributes = attributes.filter(|attribute| attribute.path().is_ident("job"));
    match attributes.next() {
        Some(attribute) => read(attribute, &mut job, diagnostics),
        None => diagnostics.error_at(Span::call_site(), message::JOB_WITHOUT_NAME),
    }
    for second in attributes {
        diagnostics.error(second, message::JOB_NAMED_TWICE);
    }
    Some(job)
}

fn named(fields: &Fields) -> Vec<Ident> {
    let idents = fields.iter().filter_map(|field| field.ident.clone());
    idents.collect()
}

fn read(attribute: &Attribute, job: &mut JobSyntax, diagnostics: &mut Diagnostics) {
    let Meta::List(list) = &attribute.meta else {
        diagnostics.error(&attribute.meta, message::JOB_FORM);
        return;
    };
    options::parse_all(list.tokens.clone(), diagnostics, |input, diagnostics| {
        if input.peek(LitStr) {
            job.name = diagnostics.ok(input.parse());
            options::end_of_item(input, diagnostics);
        } else {
            diagnostics.error(&attribute.meta, message::JOB_FORM);
            pipeline::drain(input);
        }
        options::read_all(input, "#[job]", KNOWN, diagnostics, |key, input| {
            job.options.read(key, input)
        })
    });
}

impl JobOptions {
    fn read(&mut self, key: &str, input: ParseStream) -> syn::Result<()> {
        match key {
            "crate" => self.root = Some(options::root(input)?),
            "queue" => self.queue = Some(options::string(input, QUEUE.1)?),
            "tenant" => self.tenant = Some(options::string(input, TENANT.1)?),
            "limit_key" => self.limit_key = Some(options::string(input, LIMIT_KEY.1)?),
            "rate" => self.rate = Some(options::string(input, RATE.1)?),
            "concurrency" => self.concurrency = Some(number(input, CONCURRENCY)?),
            "priority" => {
                let minus: Option<Token![-]> = input.parse()?;
                self.priority = Some(PrioritySyntax {
                    is_negative: minus.is_some(),
                    number: number(input, PRIORITY)?,
                });
            }
            "unique" => self.unique = Some(unique(input)?),
            "cron" | "timezone" => {
                self.schedule.read(key, input)?;
            }
            _ => self.retry.read(key, input)?,
        }
        Ok(())
    }
}

fn number(input: ParseStream, (_, form): Known) -> syn::Result<LitInt> {
    if input.peek(LitInt) {
        input.parse()
    } else {
        Err(input.error(message::write_option(form)))
    }
}

fn unique(input: ParseStream) -> syn::Result<UniqueSyntax> {
    if input.peek(LitStr) {
        return input.parse().map(UniqueSyntax::For);
    }
    let start = input.span();
    let word = input.call(Ident::parse_any);
    word.map(UniqueSyntax::Word)
        .map_err(|_| syn::Error::new(start, message::write_option(UNIQUE.1)))
}
