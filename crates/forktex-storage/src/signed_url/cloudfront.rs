// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Links through CloudFront, which let read and no more.
//!
//! The signature covers the whole URL with its query, so what the answer is to be stands in it. Whether
//! the distribution passes that on to the bucket is for the rule to say.

use std::time::Duration;

use time::OffsetDateTime;
use url::Url;

use super::address::below;
use super::s3;
use super::terms::{Signer, Terms};
use crate::public_map::rule::CloudFront;
use crate::sign::encode::encode_query;
use crate::sign::{SignError, cloudfront};

/// The distribution as a signer: what it cannot pass on, it cannot enforce.
pub(crate) fn signer(distribution: &CloudFront) -> Signer {
    Signer::CloudFront {
        forwards_response_headers: distribution.forwards_response_headers,
    }
}

pub(crate) fn sign(
    base: &Url,
    distribution: &CloudFront,
    key: &str,
    terms: &Terms,
    now: OffsetDateTime,
    ttl: Duration,
) -> Result<String, SignError> {
    let mut url = below(base, key);
    // A parameter that is not forwarded would do nothing: the terms have let through only what may fall away.
    if distribution.forwards_response_headers {
        for (place, (name, value)) in s3::query(terms).into_iter().enumerate() {
            url.push(if place == 0 { '?' } else { '&' });
            url.push_str(&name);
            url.push('=');
            url.push_str(&encode_query(&value));
        }
    }
    cloudfront::canned_url(distribution.key.inner(), &url, now, ttl)
}
