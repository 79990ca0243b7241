// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cookies of CloudFront: they let a browser read everything below a prefix, such as the pieces of a film.
//!
//! A prefix is taken by whole segments, so that cookies for `films/7` never open `films/70`. It refuses a
//! prefix that a rule cuts in two: part of it would not be reached.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use time::OffsetDateTime;

use super::address::below;
use super::{TTL, check_ttl, expires_at, not_signed};
use crate::key::IntoPrefix;
use crate::public_map::Route;
use crate::sign::cloudfront;
use crate::{KeyError, Prefix, Storage, StorageError};

/// Cookies that are to be signed; made by [`Storage::cookies`], and signed when awaited.
#[derive(Clone, Debug)]
#[must_use = "cookies are signed when the request is awaited"]
pub struct CookiesRequest {
    storage: Storage,
    prefix: Result<Prefix, KeyError>,
    ttl: Duration,
}

/// Signed cookies, to be set on the distribution's domain with `Secure` and `HttpOnly`.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloudFrontCookies {
    /// Names and values.
    pub cookies: [(String, String); 3],
    /// What they open: the URL of the prefix, ending in `/*`.
    pub resource: String,
    /// When they end.
    pub expires_at: OffsetDateTime,
}

impl Storage {
    /// Cookies for everything below a prefix whose reads go through CloudFront; good for 15 minutes unless
    /// said otherwise. Awaiting it makes no request.
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] where the public map sends any key below the prefix another way;
    /// [`StorageError::InvalidOption`] where the time is not 1 second to 7 days; [`StorageError::Key`].
    ///
    /// # Cancellation
    /// Nothing is changed anywhere: it may be dropped at any time.
    ///
    /// # Examples
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(storage: forktex_storage::Storage) -> Result<(), forktex_storage::StorageError> {
    /// let signed = storage.cookies("films/7").ttl(Duration::from_hours(1)).await?;
    /// for (name, value) in &signed.cookies {
    ///     println!("Set-Cookie: {name}={value}; Domain=example.com; Path=/; Secure; HttpOnly");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn cookies(&self, prefix: impl IntoPrefix) -> CookiesRequest {
        CookiesRequest {
            storage: self.clone(),
            prefix: prefix.into_prefix(),
            ttl: TTL,
        }
    }
}

impl CookiesRequest {
    /// How long the cookies are good: 1 second to 7 days, in whole seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// As [`ttl`](Self::ttl), in seconds.
    pub fn ttl_secs(self, seconds: u64) -> Self {
        self.ttl(Duration::from_secs(seconds))
    }

    fn sign(self) -> Result<CloudFrontCookies, StorageError> {
        let Self {
            storage,
            prefix,
            ttl,
        } = self;
        let prefix = storage.full_prefix(&prefix?)?;
        let ttl = check_ttl(ttl)?;
        let now = storage.shared().clock.now();
        let ends = expires_at(now, ttl)?;
        let bucket = storage.bucket_inner();
        let route = storage
            .shared()
            .public_map
            .route_below(&bucket.name, prefix.as_str());
        let Some(Route::CloudFront {
            base,
            cloudfront: distribution,
        }) = route
        else {
            let what = match route {
                None => "cookies for a prefix of which the public map sends a part another way",
                Some(_) => "cookies for keys whose reads do not go through CloudFront",
            };
            return Err(StorageError::unsupported(
                bucket.backend.kind(),
                what,
                "name a CloudFront rule for the whole prefix, or sign a link for each key",
            ));
        };
        let start = if prefix.is_empty() {
            below(base, "")
        } else {
            below(base, prefix.as_str()) + "/"
        };
        let resource = format!("{start}*");
        let policy = cloudfront::Policy {
            resource: &resource,
            starts_at: None,
            source_ip: None,
        };
        let cookies = cloudfront::cookies(distribution.key.inner(), &policy, now, ttl)
            .map_err(|error| not_signed(&bucket.name, prefix.as_str(), error))?;
        Ok(CloudFrontCookies {
            cookies,
            resource,
            expires_at: ends,
        })
    }
}

impl IntoFuture for CookiesRequest {
    type Output = Result<CloudFrontCookies, StorageError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.sign() })
    }
}

/// Shows what the cookies open, and not their values.
impl fmt::Debug for CloudFrontCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudFrontCookies")
            .field("resource", &self.resource)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
