// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The options of a schedule, checked by the same rules as the library's `schedule`.

use std::str::FromStr;

use chrono::DateTime;
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use proc_macro2::Ident;
use quote::ToTokens;
use syn::{LitStr, Path};

use crate::diagnostics::{Diagnostics, message};
use crate::parse::schedule::ScheduleSyntax;

const CRON_CHARACTERS_MAX: usize = 200;
const UTC: &str = "UTC";

/// The words of `overlap`, and the variants that they stand for.
const OVERLAPS: &[(&str, &str)] = &[("allow", "Allow"), ("skip", "Skip"), ("queue", "Queue")];

/// The words of `catch_up`, and the variants that they stand for.
const CATCH_UPS: &[(&str, &str)] = &[("one", "One"), ("all", "All"), ("none", "None")];

/// A checked schedule.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) cron: LitStr,
    pub(crate) timezone: String,
    /// A variant of `Overlap`.
    pub(crate) overlap: &'static str,
    /// A variant of `CatchUp`.
    pub(crate) catch_up: &'static str,
    /// The function that makes the input; the state's default where there is none.
    pub(crate) input: Option<Path>,
}

/// Checks the options. `None` where there is no schedule, or its expression is of no use.
pub(crate) fn check(syntax: ScheduleSyntax, diagnostics: &mut Diagnostics) -> Option<Schedule> {
    let Some(cron) = syntax.cron else {
        without_cron(&syntax, diagnostics);
        return None;
    };
    check_cron(&cron, diagnostics);
    if let Some(timezone) = &syntax.timezone {
        check_timezone(timezone, diagnostics);
    }
    Some(Schedule {
        timezone: syntax
            .timezone
            .map_or_else(|| UTC.to_owned(), |timezone| timezone.value()),
        overlap: word("overlap", syntax.overlap.as_ref(), OVERLAPS, diagnostics),
        catch_up: word("catch_up", syntax.catch_up.as_ref(), CATCH_UPS, diagnostics),
        input: syntax.input,
        cron,
    })
}

/// An option that says nothing without an expression.
fn without_cron(syntax: &ScheduleSyntax, diagnostics: &mut Diagnostics) {
    let ScheduleSyntax {
        cron: _,
        timezone,
        overlap,
        catch_up,
        input,
    } = syntax;
    let given = [
        ("timezone", timezone.as_ref().map(ToTokens::to_token_stream)),
        ("overlap", overlap.as_ref().map(ToTokens::to_token_stream)),
        ("catch_up", catch_up.as_ref().map(ToTokens::to_token_stream)),
        ("input", input.as_ref().map(ToTokens::to_token_stream)),
    ];
    for (option, tokens) in given {
        if let Some(tokens) = tokens {
            diagnostics.error(tokens, message::needs_cron(option));
        }
    }
}

fn check_cron(cron: &LitStr, diagnostics: &mut Diagnostics) {
    let text = cron.value();
    match parse(&text) {
        Err(reason) => diagnostics.error(cron, message::malformed_cron(&text, &reason)),
        Ok(parsed) if !fires(&parsed) => diagnostics.error(cron, message::cron_never_fires(&text)),
        Ok(_) => {}
    }
}

fn parse(text: &str) -> Result<Cron, String> {
    if text.chars().count() > CRON_CHARACTERS_MAX {
        return Err(format!("it has more than {CRON_CHARACTERS_MAX} characters"));
    }
    let fields = text.split_whitespace().count();
    if !text.trim_start().starts_with('@') && !matches!(fields, 5 | 6) {
        return Err(format!("it must have five fields or six, not {fields}"));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).map_err(|error| reason(&error))
}

fn reason(error: &CronError) -> String {
    let (CronError::InvalidPattern(text)
    | CronError::IllegalCharacters(text)
    | CronError::ComponentError(text)) = error
    else {
        return "it has no fields that make a date".to_owned();
    };
    let text = text.trim_end_matches('.');
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

/// Whether any date matches.
fn fires(cron: &Cron) -> bool {
    cron.find_next_occurrence(&DateTime::UNIX_EPOCH, false)
        .is_ok()
}

fn check_timezone(timezone: &LitStr, diagnostics: &mut Diagnostics) {
    let text = timezone.value();
    if Tz::from_str(&text).is_err() {
        let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        diagnostics.error(timezone, message::no_timezone(&text, names));
    }
}

/// The variant that a word stands for; that of the first word where none is given.
fn word(
    option: &str,
    written: Option<&Ident>,
    words: &[(&'static str, &'static str)],
    diagnostics: &mut Diagnostics,
) -> &'static str {
    let default = words.first().map_or("", |(_, variant)| *variant);
    let Some(written) = written else {
        return default;
    };
    let known = words.iter().find(|(word, _)| written == word);
    if known.is_none() {
        let words = words.iter().map(|(word, _)| *word);
        let message = message::no_such_word(option, &written.to_string(), words);
        diagnostics.error(written, message);
    }
    known.map_or(default, |(_, variant)| variant)
}
