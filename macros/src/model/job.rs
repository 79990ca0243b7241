// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A job: its type, its name, and how it is run.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{LitInt, LitStr};

use super::duration::{DurationFault, milliseconds};
use super::name;
use super::retry::{self, Retry};
use super::schedule::{self, Schedule};
use crate::diagnostics::{Diagnostics, message};
use crate::parse::job::{JobOptions, JobSyntax, PrioritySyntax, UniqueSyntax};
use crate::root::Root;

/// The most starts that a rate may name; the library's `limit` has the same.
const RATE_COUNT_MAX: u32 = 10_000;

/// The words of `unique`, and the variants that they stand for.
const UNIQUES: &[(&str, &str)] = &[
    ("until_started", "UntilStarted"),
    ("until_done", "UntilDone"),
    ("forever", "Forever"),
];

/// A checked job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) ident: Ident,
    /// Empty where it is missing, so that the type is a job all the same.
    pub(crate) name: String,
    pub(crate) queue: Option<String>,
    pub(crate) retry: Retry,
    pub(crate) priority: Option<i16>,
    pub(crate) unique: Option<Unique>,
    pub(crate) tenant: Option<Ident>,
    pub(crate) limit: Option<Limit>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) root: Root,
}

/// What keeps an equal job out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unique {
    /// A variant of `Unique`.
    Word(&'static str),
    /// For so many milliseconds.
    For(u64),
}

/// A limit that has a number.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) key: Option<Ident>,
    pub(crate) concurrency: Option<u32>,
    /// A count, and in how many milliseconds.
    pub(crate) rate: Option<(u32, u64)>,
}

/// Checks a job.
pub(crate) fn check(syntax: JobSyntax, root: Root, diagnostics: &mut Diagnostics) -> Job {
    let JobSyntax {
        ident,
        fields,
        name: written,
        options,
    } = syntax;
    let name = written.as_ref().map(LitStr::value).unwrap_or_default();
    if let Some(literal) = &written
        && !name::is_job(&name)
    {
        diagnostics.error(literal, message::job_name(&name));
    }
    let limit = limit(&options, &fields, diagnostics);
    Job {
        ident,
        name,
        queue: options.queue.map(|queue| queue_name(&queue, diagnostics)),
        retry: retry::check(options.retry, diagnostics),
        priority: options
            .priority
            .and_then(|number| priority(&number, diagnostics)),
        unique: options
            .unique
            .and_then(|unique| self::unique(&unique, diagnostics)),
        tenant: options
            .tenant
            .and_then(|tenant| field(&tenant, &fields, diagnostics)),
        limit,
        schedule: schedule::check(options.schedule, diagnostics),
        root: root.or_given(options.root),
    }
}

fn queue_name(queue: &LitStr, diagnostics: &mut Diagnostics) -> String {
    let text = queue.value();
    if !name::is_job(&text) {
        diagnostics.error(queue, message::queue_name(&text));
    }
    text
}

fn priority(syntax: &PrioritySyntax, diagnostics: &mut Diagnostics) -> Option<i16> {
    let sign = if syntax.is_negative { -1 } else { 1 };
    let number: Option<i32> = syntax.number.base10_parse().ok();
    let number = number.and_then(|number| i16::try_from(number.checked_mul(sign)?).ok());
    if number.is_none() {
        diagnostics.error(&syntax.number, message::PRIORITY_OUT_OF_RANGE);
    }
    number
}

fn unique(syntax: &UniqueSyntax, diagnostics: &mut Diagnostics) -> Option<Unique> {
    match syntax {
        UniqueSyntax::Word(written) => {
            let known = UNIQUES.iter().find(|(word, _)| written == word);
            if known.is_none() {
                diagnostics.error(written, message::no_such_unique(&written.to_string()));
            }
            known.map(|(_, variant)| Unique::Word(variant))
        }
        UniqueSyntax::For(text) => {
            let time = duration(text, diagnostics)?;
            if time == 0 {
                diagnostics.error(text, message::ZERO_UNIQUE);
            }
            Some(Unique::For(time))
        }
    }
}

fn limit(options: &JobOptions, fields: &[Ident], diagnostics: &mut Diagnostics) -> Option<Limit> {
    let key = options.limit_key.as_ref();
    if let Some(key) = key
        && options.concurrency.is_none()
        && options.rate.is_none()
    {
        diagnostics.error(key, message::LIMIT_WITHOUT_NUMBER);
    }
    let key = key.map(|key| field(key, fields, diagnostics));
    let concurrency = options.concurrency.as_ref();
    let concurrency = concurrency.and_then(|number| self::concurrency(number, diagnostics));
    let rate = options.rate.as_ref();
    let rate = rate.and_then(|rate| self::rate(rate, diagnostics));
    if concurrency.is_none() && rate.is_none() {
        return None;
    }
    Some(Limit {
        key: key.flatten(),
        concurrency,
        rate,
    })
}

fn concurrency(number: &LitInt, diagnostics: &mut Diagnostics) -> Option<u32> {
    let count = number.base10_parse().ok().filter(|count| *count > 0);
    if count.is_none() {
        diagnostics.error(number, message::CONCURRENCY_OUT_OF_RANGE);
    }
    count
}

/// A count and a duration with a slash between: `100/1m`.
fn rate(literal: &LitStr, diagnostics: &mut Diagnostics) -> Option<(u32, u64)> {
    let text = literal.value();
    let parsed = text.split_once('/').and_then(|(count, per)| {
        let is_plain = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = is_plain.then(|| count.parse::<u32>().ok()).flatten()?;
        Some((count, milliseconds(per).ok()?))
    });
    let rate = parsed.filter(|(count, per)| (1..=RATE_COUNT_MAX).contains(count) && *per > 0);
    if rate.is_none() {
        diagnostics.error(literal, message::malformed_rate(&text));
    }
    rate
}

/// The field of that name, whether or not it is written raw.
fn field(name: &LitStr, fields: &[Ident], diagnostics: &mut Diagnostics) -> Option<Ident> {
    let text = name.value();
    let plain = text.strip_prefix("r#").unwrap_or(&text);
    let found = fields.iter().find(|field| field.unraw() == plain);
    if found.is_none() {
        let names: Vec<String> = fields
            .iter()
            .map(|field| field.unraw().to_string())
            .collect();
        diagnostics.error(name, message::no_job_field(&text, &names));
    }
    // At the option, so that a field of a type that does not fit is reported there.
    found.map(|field| {
        let mut field = field.clone();
        field.set_span(field.span().located_at(name.span()));
        field
    })
}

fn duration(text: &LitStr, diagnostics: &mut Diagnostics) -> Option<u64> {
    let written = text.value();
    let message = match milliseconds(&written) {
        Ok(duration) => return Some(duration),
        Err(DurationFault::Malformed) => message::malformed_duration(&written),
        Err(DurationFault::TooLong) => message::long_duration(&written),
    };
    diagnostics.error(text.to_token_stream(), message);
    None
}
