// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The typed operations of a cache.
//!
//! They say what happened: an outage is an error, never an absent key.

mod counter;
mod delete;
mod json;
mod many;
mod pattern;
mod tags;

use std::pin::Pin;
use std::time::Duration;

use fred::bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::duration::InvalidDuration;
use crate::error::CacheError;

pub use counter::Increment;
pub use json::SetJson;
pub use many::SetMany;
pub use tags::TAGS_MAX;

/// What a builder becomes when it is awaited.
type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, CacheError>> + Send + 'a>>;

/// A time to live that was asked for; none by default.
type Ttl = Result<Option<Duration>, InvalidDuration>;

/// A value as it is stored, if it is not too large.
fn encode<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<Vec<u8>, CacheError> {
    serde_json::to_vec(value).map_err(|error| CacheError::encode(key, &error))
}

fn decode<T: DeserializeOwned>(key: &str, payload: &Bytes) -> Result<T, CacheError> {
    serde_json::from_slice(payload).map_err(|error| CacheError::decode::<T>(key, &error))
}

/// Refuses a value that is too large as it is stored.
fn check_size(key: &str, stored: &[u8], max: usize) -> Result<(), CacheError> {
    if stored.len() > max {
        return Err(CacheError::TooLarge {
            key: key.to_owned(),
            bytes: stored.len(),
            max,
        });
    }
    Ok(())
}
