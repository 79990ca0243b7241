// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What can go wrong with a rate limit.

use std::time::Duration;

use crate::{CacheError, InvalidDuration, KeyError};

/// A rate limit that could not be checked. An outage is none of these: it is decided by
/// [`Outage`](crate::Outage).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// A setting that the algorithm needs was not given.
    #[error("rate limiter `{limiter}` has no {setting}; call `{setting}` on it")]
    Unset {
        /// The name of the limiter.
        limiter: String,
        /// The setting, as its method is called.
        setting: &'static str,
    },

    /// A setting is zero, so that every call would be refused, or none limited.
    #[error("rate limiter `{limiter}` has a {setting} of zero; give it at least 1")]
    Zero {
        /// The name of the limiter.
        limiter: String,
        /// The setting, as its method is called.
        setting: &'static str,
    },

    /// A setting is above what the algorithm can hold exactly and cheaply.
    #[error(
        "rate limiter `{limiter}` has a {setting} of {given}, and at most {max} is possible; lower it, \
         or use another algorithm"
    )]
    TooLarge {
        /// The name of the limiter.
        limiter: String,
        /// The setting, as its method is called.
        setting: &'static str,
        /// What was given.
        given: u64,
        /// The most that is possible beside the other settings.
        max: u64,
    },

    /// A window or a period is shorter than a millisecond.
    #[error("rate limiter `{limiter}` has a {setting} over {given:?}; give it 1 ms or more")]
    TooShort {
        /// The name of the limiter.
        limiter: String,
        /// The setting, as its method is called.
        setting: &'static str,
        /// What was given.
        given: Duration,
    },

    /// A window or a period is no duration.
    #[error("the {setting} of rate limiter `{limiter}` cannot be read")]
    Duration {
        /// The name of the limiter.
        limiter: String,
        /// The setting, as its method is called.
        setting: &'static str,
        /// What is wrong with it.
        source: InvalidDuration,
    },

    /// A call costs more than the limit, so that it would never be allowed.
    #[error(
        "rate limiter `{limiter}` is asked for {cost} at once, and its limit is {limit}; raise the \
         limit, or split the call"
    )]
    CostAboveLimit {
        /// The name of the limiter.
        limiter: String,
        /// What the call costs.
        cost: u64,
        /// The limit; of a [`gcra`](crate::RateLimiter::gcra) its burst.
        limit: u64,
    },

    /// The key cannot be made from its parts, or the limiter's name is no name.
    #[error("no key can be made for rate limiter `{limiter}`")]
    Key {
        /// The name of the limiter.
        limiter: String,
        /// What is wrong with it.
        source: KeyError,
    },

    /// Redis refused the script. For [`reset`](crate::RateLimiter::reset) an outage too.
    #[error("rate limiter `{limiter}` could not ask the cache")]
    Cache {
        /// The name of the limiter.
        limiter: String,
        /// What the cache said.
        source: CacheError,
    },
}
