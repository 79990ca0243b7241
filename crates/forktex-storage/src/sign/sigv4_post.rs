// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The form of a browser upload to S3, as botocore's `generate_presigned_post` makes it.
//!
//! The policy's conditions come in the order given, then bucket, key and the signature's own. It says
//! what the service enforces: fields that no condition allows are refused by it.

use std::time::Duration;

use time::OffsetDateTime;
use url::Url;

pub use super::form::{Condition, PostFields, PostForm, PostKey};
use super::form::{FILENAME, Style, push_condition, push_equals, push_starts_with};
use super::sigv4::{ALGORITHM, Credentials, SigningKey};
use super::{SignError, canonical, encode, expires_at};

const STYLE: Style = Style {
    comma: ", ",
    colon: ": ",
};

/// A form to be signed.
#[derive(Clone, Copy, Debug)]
pub struct PostRequest<'a> {
    /// The bucket.
    pub bucket: &'a str,
    /// Which key the form may write.
    pub key: PostKey<'a>,
    /// The other fields and conditions.
    pub form: &'a PostForm,
}

/// Signs a form that is good for `expires` from `now`.
///
/// # Errors
/// When the life is not 1 second to 7 days, when `key` was derived for another day, or when a field
/// or the key cannot be signed.
pub fn policy(
    request: &PostRequest<'_>,
    credentials: &Credentials,
    key: &SigningKey,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<PostFields, SignError> {
    key.check_day(now)?;
    request.form.check(request.key, "x-amz-")?;
    let expiration = encode::timestamp_extended(expires_at(now, expires)?);
    let mut own = vec![
        ("x-amz-algorithm".to_owned(), ALGORITHM.to_owned()),
        (
            "x-amz-credential".to_owned(),
            format!("{}/{}", credentials.access_key, key.scope()),
        ),
        ("x-amz-date".to_owned(), encode::timestamp(now)),
    ];
    if let Some(token) = &credentials.session_token {
        own.push(("x-amz-security-token".to_owned(), token.expose().to_owned()));
    }

    let text = policy_text(request, &expiration, &own);
    let policy = data_encoding::BASE64.encode(text.as_bytes());
    let signature = key.sign(&policy);

    let mut fields = request.form.fields.clone();
    let proposed = match request.key {
        PostKey::Exact(key) => key.to_owned(),
        PostKey::Prefix(prefix) => format!("{prefix}{FILENAME}"),
    };
    fields.push(("key".to_owned(), proposed));
    fields.append(&mut own);
    fields.push(("policy".to_owned(), policy));
    fields.push(("x-amz-signature".to_owned(), signature));
    Ok(PostFields { fields })
}

fn policy_text(request: &PostRequest<'_>, expiration: &str, own: &[(String, String)]) -> String {
    let mut out = String::with_capacity(1024);
    out.push_str("{\"expiration\": ");
    encode::push_json(&mut out, expiration);
    out.push_str(", \"conditions\": [");
    for condition in &request.form.conditions {
        push_condition(&mut out, STYLE, condition);
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
    out.push_str("]}");
    out
}

/// Where the form is sent: `https://bucket.host/` in the virtual-host style, which has the bucket in
/// the endpoint already, and `https://host/bucket` in the path style, for `Some(bucket)`.
///
/// # Errors
/// [`SignError::InvalidEndpoint`] when the endpoint has more than a scheme, a host and a port.
pub fn url(endpoint: &Url, bucket_in_path: Option<&str>) -> Result<String, SignError> {
    let authority = canonical::bare_authority(endpoint)?;
    let path = encode::encode_path(bucket_in_path.unwrap_or_default());
    Ok(format!("{}://{authority}/{path}", endpoint.scheme()))
}
