// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signed forms of a folder: a policy as JSON in base64, and its HMAC-SHA256.
//!
//! The policy is believed only after its signature was checked, and it names every constraint: a field
//! of the form can say nothing that the policy does not allow.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::Url;

use super::{
    Refusal, VERSION, base_text, check_end, check_host, check_signature, check_text, check_version,
    mac_of,
};
use crate::sign::form::PostFields;
use crate::sign::{SignError, encode, expires_at, finish};
use crate::{Secret, Sha256Digest};

const FORM: &str = "forktex-storage form";

/// The longest signed policy that is read, in bytes of base64.
const POLICY_BYTES_MAX: usize = 64 * 1024;

/// What a signed form allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostPolicy {
    /// The bucket's name in the configuration.
    pub bucket: String,
    /// The one key that is written.
    pub key: String,
    /// The fewest bytes.
    pub bytes_min: u64,
    /// The most bytes.
    pub bytes_max: u64,
    /// The type that the form must bring.
    pub content_type: Option<String>,
    /// The beginning of the type that the form must bring, such as `image/`.
    pub content_type_prefix: Option<String>,
    /// It is refused where there is an object already.
    pub if_absent: bool,
    /// The name under which the object is downloaded.
    pub download_as: Option<String>,
    /// The object is shown even where it would otherwise be downloaded.
    pub inline: bool,
    /// What the file must be.
    pub sha256: Option<Sha256Digest>,
    /// What is stored with it.
    pub metadata: BTreeMap<String, String>,
}

impl PostPolicy {
    /// A form for one key and at most so many bytes, with nothing else said.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>, bytes_max: u64) -> Self {
        Self {
            bucket: bucket.into(),
            key: key.into(),
            bytes_min: 0,
            bytes_max,
            content_type: None,
            content_type_prefix: None,
            if_absent: false,
            download_as: None,
            inline: false,
            sha256: None,
            metadata: BTreeMap::new(),
        }
    }

    /// Whether the policy allows a file of this type; `None` stands for a form without one.
    pub fn allows_content_type(&self, given: Option<&str>) -> bool {
        let fits = |wanted: Option<&str>, test: fn(&str, &str) -> bool| match (wanted, given) {
            (None, _) => true,
            (Some(wanted), Some(given)) => test(given, wanted),
            (Some(_), None) => false,
        };
        fits(self.content_type.as_deref(), |given, wanted| {
            given.eq_ignore_ascii_case(wanted)
        }) && fits(self.content_type_prefix.as_deref(), |given, prefix| {
            given
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
    }
}

/// What is signed of a form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedPolicy {
    version: u32,
    expires: i64,
    policy: PostPolicy,
}

/// Signs a form that is good until `expires` from `now`. It is sent to [`post_url`].
///
/// # Errors
/// When the life is not 1 second to 7 days, when the base URL is none, or when the policy allows
/// nothing or has a control character.
pub fn sign_post(
    policy: &PostPolicy,
    base_url: &Url,
    secret: &Secret,
    now: OffsetDateTime,
    expires: Duration,
) -> Result<PostFields, SignError> {
    check_policy(policy)?;
    let signed = SignedPolicy {
        version: u32::from(VERSION),
        expires: expires_at(now, expires)?.unix_timestamp(),
        policy: policy.clone(),
    };
    let json = serde_json::to_vec(&signed).map_err(|_| SignError::InvalidField {
        name: "policy".to_owned(),
        reason: "it cannot be written as JSON",
    })?;
    let text = data_encoding::BASE64.encode(&json);
    let mac = mac_of(secret, FORM, &[&base_text(base_url)?, &text]);
    let signature = data_encoding::HEXLOWER.encode(&finish(mac));

    let mut fields = vec![("key".to_owned(), policy.key.clone())];
    if let Some(content_type) = &policy.content_type {
        fields.push(("Content-Type".to_owned(), content_type.clone()));
    }
    fields.push(("policy".to_owned(), text));
    fields.push(("signature".to_owned(), signature));
    Ok(PostFields { fields })
}

/// Where a form for `bucket` is sent.
///
/// # Errors
/// [`SignError::InvalidEndpoint`] when the base URL is none.
pub fn post_url(base_url: &Url, bucket: &str) -> Result<String, SignError> {
    Ok(format!(
        "{}/{}",
        base_text(base_url)?,
        encode::encode_path(bucket)
    ))
}

/// Checks the `policy` and `signature` fields of a form, in constant time, and says what it allows.
/// The other fields and the file must still be held to it.
///
/// # Errors
/// [`Refusal`], which says what to answer.
pub fn verify_post(
    policy: &str,
    signature: &str,
    host: &str,
    base_url: &Url,
    secret: &Secret,
    now: OffsetDateTime,
) -> Result<PostPolicy, Refusal> {
    if policy.len() > POLICY_BYTES_MAX {
        return Err(Refusal::Malformed {
            reason: "the policy is too long",
        });
    }
    let base = base_text(base_url).map_err(|_| Refusal::WrongHost)?;
    check_signature(mac_of(secret, FORM, &[&base, policy]), signature)?;

    let malformed = Refusal::Malformed {
        reason: "the policy cannot be read",
    };
    let signed: SignedPolicy = data_encoding::BASE64
        .decode(policy.as_bytes())
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or(malformed)?;
    check_version(signed.version)?;
    check_host(host, base_url)?;
    check_end(signed.expires, now)?;
    Ok(signed.policy)
}

fn check_policy(policy: &PostPolicy) -> Result<(), SignError> {
    check_text("bucket", Some(&policy.bucket))?;
    check_text("key", Some(&policy.key))?;
    check_text("content-type", policy.content_type.as_deref())?;
    check_text("content-type", policy.content_type_prefix.as_deref())?;
    check_text("download-as", policy.download_as.as_deref())?;
    if policy.bytes_min > policy.bytes_max {
        return Err(SignError::InvalidField {
            name: "bytes-min".to_owned(),
            reason: "the smallest size is above the largest",
        });
    }
    Ok(())
}
