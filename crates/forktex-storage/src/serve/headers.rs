// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The headers of an object that is served, and the dates of HTTP.
//!
//! What was stored by strangers must not run in the name of this host: every answer forbids guessing of
//! types and running of anything, and what a browser might run is sent to be downloaded. A stored text
//! that no header can hold is left out.

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LAST_MODIFIED, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use object_store::{Attribute, Attributes};
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::disposition::{attachment, inline};
use crate::sign::folder::Constraints;
use crate::{ContentType, Key};

/// The one form of dates that is written today.
const HTTP_DATE: StaticFormatDescription = format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

/// What a page may do that is opened from here in spite of all: nothing.
const POLICY: &str = "sandbox; default-src 'none'";

/// What is answered of an object beside its bytes and its length.
pub(super) fn of_object(
    key: &Key,
    attributes: &Attributes,
    constraints: &Constraints,
    is_public: bool,
) -> HeaderMap {
    let content_type = constraints
        .content_type
        .as_deref()
        .or_else(|| stored(attributes, &Attribute::ContentType))
        .and_then(|text| ContentType::new(text).ok())
        .unwrap_or_else(|| ContentType::sniff(&[], ""));

    let mut headers = HeaderMap::new();
    set(&mut headers, CONTENT_TYPE, content_type.as_str());
    let disposition = disposition(
        key,
        &content_type,
        stored(attributes, &Attribute::ContentDisposition),
        constraints,
    );
    if let Some(disposition) = disposition {
        set(&mut headers, CONTENT_DISPOSITION, &disposition);
    }
    for (name, attribute) in [
        (CONTENT_ENCODING, Attribute::ContentEncoding),
        (CONTENT_LANGUAGE, Attribute::ContentLanguage),
    ] {
        if let Some(value) = stored(attributes, &attribute) {
            set(&mut headers, name, value);
        }
    }
    // A link is for one holder: what is between may not keep its object for others.
    let cache = stored(attributes, &Attribute::CacheControl)
        .or((!is_public).then_some("private, no-cache"));
    if let Some(cache) = cache {
        set(&mut headers, CACHE_CONTROL, cache);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    protect(&mut headers);
    headers
}

/// Says which version the object is, and of when.
pub(super) fn set_version(headers: &mut HeaderMap, etag: &str, modified: i64) {
    set(headers, ETAG, &format!("\"{etag}\""));
    if let Some(date) = http_date(modified) {
        set(headers, LAST_MODIFIED, &date);
    }
}

/// The headers of every answer that has an object.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, POLICY),
        // The URL is the right to read: the next page must not learn it.
        (REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// How a browser treats the object: as the link says, else as it was stored; active content is
/// downloaded, unless the link was signed to show it.
fn disposition(
    key: &Key,
    content_type: &ContentType,
    stored: Option<&str>,
    constraints: &Constraints,
) -> Option<String> {
    match (&constraints.download_as, constraints.inline) {
        (Some(name), true) => return Some(inline(name)),
        (Some(name), false) => return Some(attachment(name)),
        (None, true) => return Some("inline".to_owned()),
        (None, false) => {}
    }
    let is_download = |text: &str| {
        let kind = text.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("attachment") && HeaderValue::from_str(text).is_ok()
    };
    match stored {
        Some(text) if is_download(text) || !content_type.is_active() => Some(text.to_owned()),
        _ => content_type.is_active().then(|| attachment(key.name())),
    }
}

fn stored<'a>(attributes: &'a Attributes, attribute: &Attribute) -> Option<&'a str> {
    attributes.get(attribute).map(AsRef::as_ref)
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A time in whole seconds since 1970, as HTTP writes it.
pub(super) fn http_date(seconds: i64) -> Option<String> {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    time.format(HTTP_DATE).ok()
}

/// The seconds since 1970 of a date of HTTP.
pub(super) fn parse_http_date(text: &str) -> Option<i64> {
    let time = PrimitiveDateTime::parse(text.trim(), HTTP_DATE).ok()?;
    Some(time.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stored: &[(Attribute, &'static str)], constraints: &Constraints) -> HeaderMap {
        let attributes = stored.iter().cloned().collect();
        let key = Key::new("some/page.html").unwrap();
        of_object(&key, &attributes, constraints, false)
    }

    fn text(headers: &HeaderMap, name: HeaderName) -> &str {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn active_content_is_downloaded_unless_the_link_was_signed_inline() {
        let link = Constraints::default();
        for content_type in ["text/html", "image/svg+xml", "application/xhtml+xml"] {
            for disposition in [
                None,
                Some("inline"),
                Some("attachment; filename=\"a.html\""),
            ] {
                let mut stored = vec![(Attribute::ContentType, content_type)];
                stored.extend(disposition.map(|value| (Attribute::ContentDisposition, value)));
                let headers = of(&stored, &link);
                assert!(text(&headers, CONTENT_DISPOSITION).starts_with("attachment; filename="));
                assert_eq!(text(&headers, X_CONTENT_TYPE_OPTIONS), "nosniff");
                assert_eq!(text(&headers, CONTENT_SECURITY_POLICY), POLICY);
            }
        }
        let shown = Constraints {
            inline: true,
            ..Constraints::default()
        };
        let headers = of(&[(Attribute::ContentType, "text/html")], &shown);
        assert_eq!(text(&headers, CONTENT_DISPOSITION), "inline");
        assert_eq!(text(&headers, CONTENT_SECURITY_POLICY), POLICY);
    }

    #[test]
    fn a_type_of_the_link_counts_like_a_stored_one() {
        let link = Constraints {
            content_type: Some("text/html".to_owned()),
            ..Constraints::default()
        };
        let headers = of(&[(Attribute::ContentType, "text/plain")], &link);
        assert_eq!(text(&headers, CONTENT_TYPE), "text/html");
        assert!(text(&headers, CONTENT_DISPOSITION).starts_with("attachment"));
    }

    #[test]
    fn what_is_not_active_is_sent_as_it_was_stored() {
        let stored = [
            (Attribute::ContentType, "image/png"),
            (Attribute::ContentDisposition, "inline; filename=\"a.png\""),
            (Attribute::CacheControl, "max-age=60"),
        ];
        let headers = of(&stored, &Constraints::default());
        assert_eq!(text(&headers, CONTENT_TYPE), "image/png");
        assert_eq!(
            text(&headers, CONTENT_DISPOSITION),
            "inline; filename=\"a.png\""
        );
        assert_eq!(text(&headers, CACHE_CONTROL), "max-age=60");
        let named = Constraints {
            download_as: Some("b.png".to_owned()),
            ..Constraints::default()
        };
        let headers = of(&stored, &named);
        assert_eq!(
            text(&headers, CONTENT_DISPOSITION),
            "attachment; filename=\"b.png\""
        );
    }

    #[test]
    fn an_object_without_attributes_is_bytes() {
        let headers = of(&[], &Constraints::default());
        assert_eq!(text(&headers, CONTENT_TYPE), "application/octet-stream");
        assert_eq!(text(&headers, CACHE_CONTROL), "private, no-cache");
        assert!(!headers.contains_key(CONTENT_DISPOSITION));
    }

    #[test]
    fn stored_texts_that_end_a_header_are_left_out() {
        let stored = [
            (Attribute::ContentType, "text/html\r\nx: y"),
            (Attribute::CacheControl, "a\nb"),
        ];
        let headers = of(&stored, &Constraints::default());
        assert_eq!(text(&headers, CONTENT_TYPE), "application/octet-stream");
        assert!(!headers.contains_key(CACHE_CONTROL));
    }

    #[test]
    fn dates_are_written_and_read_in_one_form() {
        let text = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse_http_date(text), Some(784_111_777));
        assert_eq!(http_date(784_111_777).as_deref(), Some(text));
        assert_eq!(parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT"), None);
    }
}
