// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The form of a browser upload to Google Cloud Storage, version 4, as google-cloud-storage's
//! `generate_signed_post_policy_v4` makes it.
//!
//! The free conditions come first, then the form's fields by name, then bucket, key and the
//! signature's own. Fields that begin with `x-ignore-` stay out, as the service ignores them.

use std::time::Duration;

use time::OffsetDateTime;
use url::Url;

pub use super::form::{Condition, PostFields, PostForm, PostKey};
use super::form::{FILENAME, Style, push_condition, push_equals, push_starts_with};
use super::gcs::{ALGORITHM, ServiceAccount};
pub use super::sigv4_post::PostRequest;
use super::{SignError, canonical, encode, expires_at};

const STYLE: Style = Style {
    comma: ",",
    colon: ":",
};

/// Signs a form that is good for `expires` from `now`.
///
/// # Errors
/// When the life is not 1 second to 7 days, when a field or the key cannot be signed, or when the RSA
/// operation fails.
pub fn policy(
    request: &PostRequest<'_>,
    account: &ServiceAccount,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<PostFields, SignError> {
    request.form.check(request.key, "x-goog-")?;
    let expiration = encode::timestamp_extended(expires_at(now, expires)?);
    let credential = account.credential(now);
    let timestamp = encode::timestamp(now);

    let mut fields: Vec<(String, String)> = request
        .form
        .fields
        .iter()
        .filter(|(name, _)| !name.starts_with("x-ignore-"))
        .cloned()
        .collect();
    fields.sort_unstable();

    let own = [
        ("x-goog-date", timestamp.as_str()),
        ("x-goog-credential", credential.as_str()),
        ("x-goog-algorithm", ALGORITHM),
    ];
    let text = policy_text(request, &fields, &expiration, &own);
    let policy = data_encoding::BASE64.encode(text.as_bytes());
    let signature = account.sign(&policy)?;

    let proposed = match request.key {
        PostKey::Exact(key) => key.to_owned(),
        PostKey::Prefix(prefix) => format!("{prefix}{FILENAME}"),
    };
    let mut push = |name: &str, value: String| fields.push((name.to_owned(), value));
    push("key", proposed);
    push("x-goog-algorithm", ALGORITHM.to_owned());
    push("x-goog-credential", credential);
    push("x-goog-date", timestamp);
    push("x-goog-signature", signature);
    push("policy", policy);
    Ok(PostFields { fields })
}

fn policy_text(
    request: &PostRequest<'_>,
    fields: &[(String, String)],
    expiration: &str,
    own: &[(&str, &str)],
) -> String {
    let mut out = String::with_capacity(1024);
    out.push_str("{\"conditions\":[");
    for condition in &request.form.conditions {
        // What a field of the form must equal is written below, in the order of the fields, and not at
        // all for an ignored one.
        if !is_of_a_field(condition, &request.form.fields) {
            push_condition(&mut out, STYLE, condition);
            out.push_str(STYLE.comma);
        }
    }
    for (name, value) in fields {
        push_equals(&mut out, STYLE, name, value);
        out.push_str(STYLE.comma);
    }
    push_equals(&mut out, STYLE, "bucket", request.bucket);
    out.push_str(STYLE.comma);
    match request.key {
        PostKey::Exact(key) => push_equals(&mut out, STYLE, "key", key),
        PostKey::Prefix(prefix) => push_starts_with(&mut out, STYLE, "key", prefix),
    }
    for (name, value) in own {
        out.push_str(STYLE.comma);
        push_equals(&mut out, STYLE, name, value);
    }
    out.push_str("],\"expiration\":");
    encode::push_json(&mut out, expiration);
    out.push('}');
    out
}

fn is_of_a_field(condition: &Condition, fields: &[(String, String)]) -> bool {
    let Condition::Equals { field, value } = condition else {
        return false;
    };
    fields
        .iter()
        .any(|(name, given)| name == field && given == value)
}

/// Where the form is sent: `https://bucket.host/` in the virtual-host style, which has the bucket in
/// the endpoint already, and `https://host/bucket/` in the path style, for `Some(bucket)`.
///
/// # Errors
/// [`SignError::InvalidEndpoint`] when the endpoint has more than a scheme, a host and a port.
pub fn url(endpoint: &Url, bucket_in_path: Option<&str>) -> Result<String, SignError> {
    let authority = canonical::bare_authority(endpoint)?;
    let start = format!("{}://{authority}/", endpoint.scheme());
    Ok(match bucket_in_path {
        Some(bucket) => format!("{start}{}/", encode::encode_path(bucket)),
        None => start,
    })
}
