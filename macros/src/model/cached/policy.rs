// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! How a value is kept: times, flights, refreshes.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Lit, LitStr};

use crate::diagnostics::{Diagnostics, message};
use crate::model::duration::{DurationFault, wait_milliseconds};
use crate::parse::cached::{
    CachedOptions, LEASE, LOCAL, NEGATIVE_TTL, OWNER, REFRESH, SINGLE_FLIGHT, STALE,
    STALE_IF_ERROR, TTL,
};

const EARLY_MAX: f64 = 100.0;
const LEASE_MIN_MS: u64 = 100;
const LEASE_MAX_MS: u64 = 60 * 60 * 1_000;

/// The words of `single_flight`, and the variants that they stand for.
const FLIGHTS: &[(&str, &str)] = &[
    ("process", "Process"),
    ("cluster", "Cluster"),
    ("off", "Off"),
];

/// The words of `refresh`: whether the caller waits for it.
const REFRESHES: &[(&str, &str)] = &[("behind", ""), ("in_line", "")];

/// What was given; times in milliseconds, with the place of those that want a certain return type.
pub(crate) struct Policy {
    pub(crate) version: Option<u32>,
    pub(crate) ttl_ms: u64,
    pub(crate) negative_ttl_ms: Option<(Span, u64)>,
    pub(crate) stale_ms: Option<u64>,
    pub(crate) stale_if_error_ms: Option<(Span, u64)>,
    pub(crate) early: Option<f64>,
    /// A variant of `SingleFlight`, where one was given.
    pub(crate) single_flight: Option<&'static str>,
    pub(crate) lease_ms: Option<u64>,
    pub(crate) jitter: Option<f64>,
    pub(crate) local_ms: Option<u64>,
    pub(crate) fail_closed: Option<Span>,
}

/// Checks the options. `None` without a `ttl` that can be read.
pub(super) fn check(options: &CachedOptions, diagnostics: &mut Diagnostics) -> Option<Policy> {
    if options.ttl.is_none() && !options.keys.contains(TTL.0) {
        diagnostics.error_at(Span::call_site(), message::missing_option(OWNER, TTL.1));
    }
    let mut placed = |name, text: &Option<LitStr>| {
        let time = time(name, text.as_ref(), diagnostics);
        time.zip(text.as_ref())
            .map(|(time, text)| (text.span(), time))
    };
    let negative_ttl_ms = placed(NEGATIVE_TTL.0, &options.negative_ttl);
    let stale_if_error_ms = placed(STALE_IF_ERROR.0, &options.stale_if_error);
    let ttl_ms = time(TTL.0, options.ttl.as_ref(), diagnostics);
    let stale_ms = time(STALE.0, options.stale.as_ref(), diagnostics);
    let local_ms = time(LOCAL.0, options.local.as_ref(), diagnostics);
    let single_flight = word(
        SINGLE_FLIGHT.0,
        options.single_flight.as_ref(),
        FLIGHTS,
        diagnostics,
    );
    word(REFRESH.0, options.refresh.as_ref(), REFRESHES, diagnostics);
    if let Some(refresh) = &options.refresh
        && options.stale.is_none()
        && options.early.is_none()
    {
        diagnostics.error(refresh, message::REFRESH_OF_NOTHING);
    }
    let policy = Policy {
        version: version(options, diagnostics),
        ttl_ms: ttl_ms.unwrap_or_default(),
        negative_ttl_ms,
        stale_ms,
        stale_if_error_ms,
        early: early(options, diagnostics),
        single_flight,
        lease_ms: lease(options, diagnostics),
        jitter: jitter(options, diagnostics),
        local_ms,
        fail_closed: options.fail_closed,
    };
    ttl_ms.is_some().then_some(policy)
}

fn time(option: &str, text: Option<&LitStr>, diagnostics: &mut Diagnostics) -> Option<u64> {
    let text = text?;
    let written = text.value();
    let message = match wait_milliseconds(&written) {
        Ok(0) => message::zero_time(option),
        Ok(time) => return Some(time),
        Err(DurationFault::Malformed) => message::malformed_duration(&written),
        Err(DurationFault::TooLong) => message::long_time(&written),
    };
    diagnostics.error(text, message);
    None
}

fn lease(options: &CachedOptions, diagnostics: &mut Diagnostics) -> Option<u64> {
    let lease = time(LEASE.0, options.lease.as_ref(), diagnostics)?;
    if !(LEASE_MIN_MS..=LEASE_MAX_MS).contains(&lease) {
        diagnostics.error(&options.lease, message::LEASE_RANGE);
    }
    Some(lease)
}

fn version(options: &CachedOptions, diagnostics: &mut Diagnostics) -> Option<u32> {
    let number = options.version.as_ref()?;
    let version = number.base10_parse().ok().filter(|version| *version > 0);
    if version.is_none() {
        diagnostics.error(number, message::CACHE_VERSION);
    }
    version
}

fn early(options: &CachedOptions, diagnostics: &mut Diagnostics) -> Option<f64> {
    let (_, factor) = options.early.as_ref()?;
    let Some(factor) = factor else {
        return Some(1.0);
    };
    let is_in_range = |factor: &f64| *factor > 0.0 && *factor <= EARLY_MAX;
    number(factor, is_in_range, message::EARLY_RANGE, diagnostics)
}

fn jitter(options: &CachedOptions, diagnostics: &mut Diagnostics) -> Option<f64> {
    let is_in_range = |share: &f64| (0.0..1.0).contains(share);
    let share = options.jitter.as_ref()?;
    number(share, is_in_range, message::JITTER_RANGE, diagnostics)
}

fn number(
    written: &Lit,
    is_in_range: impl Fn(&f64) -> bool,
    fault: &str,
    diagnostics: &mut Diagnostics,
) -> Option<f64> {
    let number = match written {
        Lit::Float(number) => number.base10_parse().ok(),
        Lit::Int(number) => number.base10_parse().ok(),
        _ => None,
    };
    let number = number.filter(is_in_range);
    if number.is_none() {
        diagnostics.error(written.to_token_stream(), fault);
    }
    number
}

fn word(
    option: &str,
    written: Option<&LitStr>,
    words: &[(&'static str, &'static str)],
    diagnostics: &mut Diagnostics,
) -> Option<&'static str> {
    let written = written?;
    let text = written.value();
    let known = words.iter().find(|(word, _)| *word == text);
    if known.is_none() {
        let words = words.iter().map(|(word, _)| *word);
        diagnostics.error(written, message::no_such_word(option, &text, words));
    }
    known.map(|(_, variant)| *variant)
}
