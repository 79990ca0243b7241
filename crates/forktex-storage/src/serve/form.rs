// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Signed forms: `multipart/form-data` with the fields first and the file last, as browsers send it.
//!
//! The body is read as it comes. Of the fields at most 128 KiB are held, of the file a piece at a time;
//! so nothing that a client sends can fill the memory. A field that the policy does not know, a field
//! given twice, and a file before its fields are refused. What comes behind the file is not read.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use object_store::PutMode;

use super::put::{self, Incoming, Wanted, Writer};
use super::refusal::Refused;
use super::router::{Served, Target, host, signing};
use crate::Key;
use crate::sign::folder::{PostPolicy, verify_post};

/// The most bytes of all that comes before the file.
const FIELDS_BYTES_MAX: usize = 128 * 1024;

/// The most bytes of the headers of one part.
const PART_HEADERS_BYTES_MAX: usize = 8 * 1024;

/// The most bytes of a boundary, by RFC 2046.
const BOUNDARY_BYTES_MAX: usize = 70;

/// The field that is the file.
const FILE: &str = "file";

/// The fields that a form may have, in lower case.
const FIELDS: [&str; 4] = ["key", "content-type", "policy", "signature"];

/// Answers `POST`.
pub(super) async fn answer(
    served: &Served,
    target: Target<'_>,
    head: &Parts,
    body: Body,
) -> Result<Response, Refused> {
    let boundary = put::text(&head.headers, CONTENT_TYPE)?
        .and_then(boundary)
        .ok_or_else(|| {
            Refused::wrong_type(
                "a form is `multipart/form-data` with a boundary of 1 to 70 characters",
            )
        })?;
    let mut form = Form::new(Incoming::new(body, &served.config), &boundary);
    let fields = form.fields().await?;
    let field = |name: &str| fields.get(name).map(String::as_str);
    let required = |name: &'static str| {
        field(name).ok_or_else(|| Refused::malformed(format!("the form has no field `{name}`")))
    };

    let signing = signing(target)?;
    let policy = verify_post(
        required("policy")?,
        required("signature")?,
        host(head)?,
        &signing.base_url,
        &signing.key,
        served.now(),
    )?;
    let key = check_fields(target, &policy, required("key")?, field("content-type"))?;
    served.check_reach(&key)?;
    let content_type = put::content_type(field("content-type"))?;

    let bytes_max = policy.bytes_max.min(served.config.body_bytes_max);
    let mut writer = Writer::begin(target, &key, bytes_max).await?;
    let arrived = async {
        while let Some(piece) = form.file_piece().await? {
            writer.write(piece).await?;
        }
        Ok::<_, Refused>(())
    }
    .await;
    let wanted = Wanted {
        content_type,
        download_as: policy.download_as,
        is_inline: policy.inline,
        sha256: policy.sha256,
        metadata: policy.metadata,
        bytes_min: policy.bytes_min,
        mode: if policy.if_absent {
            PutMode::Create
        } else {
            PutMode::Overwrite
        },
    };
    let etag = writer.end(&key, arrived, wanted).await?;
    Ok(put::stored(StatusCode::NO_CONTENT, &etag))
}

/// Holds the fields to the policy.
fn check_fields(
    target: Target<'_>,
    policy: &PostPolicy,
    key: &str,
    content_type: Option<&str>,
) -> Result<Key, Refused> {
    if policy.bucket != target.bucket || policy.key != key {
        return Err(Refused::denied("wrong_key", "the form is for another key"));
    }
    if !policy.allows_content_type(content_type) {
        return Err(Refused::wrong_type(
            "the form does not allow this content type",
        ));
    }
    Ok(Key::new(key)?)
}

/// A form that is being read.
struct Form {
    incoming: Incoming,
    /// What came and was not used yet.
    buffer: BytesMut,
    /// What stands before each part and after the last one.
    delimiter: Vec<u8>,
    is_file_over: bool,
}

impl Form {
    fn new(incoming: Incoming, boundary: &str) -> Self {
        Self {
            incoming,
            // The first delimiter has no line before it. With one, it is like all others.
            buffer: BytesMut::from("\r\n"),
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            is_file_over: false,
        }
    }

    /// The fields, by their names in lower case. Afterwards the file begins.
    async fn fields(&mut self) -> Result<BTreeMap<String, String>, Refused> {
        let mut fields = BTreeMap::new();
        let mut left = FIELDS_BYTES_MAX;
        let delimiter = self.delimiter.clone();
        self.take_until(&delimiter, &mut left).await?;
        loop {
            self.begin_part().await?;
            let headers = self.part_headers(&mut left).await?;
            let name = part_name(&headers)
                .ok_or_else(|| Refused::malformed("a part of the form has no name"))?
                .to_ascii_lowercase();
            if name == FILE {
                return Ok(fields);
            }
            if !FIELDS.contains(&name.as_str()) {
                return Err(Refused::denied(
                    "unknown_field",
                    "the form has a field that the policy does not allow",
                ));
            }
            let value = self.take_until(&delimiter, &mut left).await?;
            let value = String::from_utf8(value.to_vec())
                .map_err(|_| Refused::malformed("a field of the form is no text"))?;
            if fields.insert(name, value).is_some() {
                return Err(Refused::malformed("a field of the form is given twice"));
            }
        }
    }

    /// The next bytes of the file; nothing at its end.
    async fn file_piece(&mut self) -> Result<Option<Bytes>, Refused> {
        while !self.is_file_over {
            if let Some(at) = find(&self.buffer, &self.delimiter) {
                self.is_file_over = true;
                let rest = self.buffer.split_to(at).freeze();
                return Ok((!rest.is_empty()).then_some(rest));
            }
            // The end may be the beginning of a delimiter.
            let sure = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
            if sure > 0 {
                return Ok(Some(self.buffer.split_to(sure).freeze()));
            }
            self.fill().await?;
        }
        Ok(None)
    }

    /// Looks at what follows a delimiter. An end of line stays: it is also the one before the headers, of
    /// which there may be none. Two dashes are the end of the form.
    async fn begin_part(&mut self) -> Result<(), Refused> {
        while self.buffer.len() < 2 {
            self.fill().await?;
        }
        match self.buffer.get(..2) {
            Some(b"\r\n") => Ok(()),
            Some(b"--") => Err(Refused::malformed("the form has no file")),
            _ => Err(Refused::malformed("the form is not well formed")),
        }
    }

    async fn part_headers(&mut self, left: &mut usize) -> Result<String, Refused> {
        let mut allowed = PART_HEADERS_BYTES_MAX.min(*left);
        let before = allowed;
        let headers = self.take_until(b"\r\n\r\n", &mut allowed).await?;
        spend(left, before - allowed)?;
        String::from_utf8(headers.to_vec())
            .map_err(|_| Refused::malformed("a header of the form is no text"))
    }

    /// What comes before `end`; both are taken. It may cost `left` bytes.
    async fn take_until(&mut self, end: &[u8], left: &mut usize) -> Result<BytesMut, Refused> {
        let mut searched = 0;
        loop {
            let rest = self.buffer.get(searched..).unwrap_or_default();
            if let Some(at) = find(rest, end).map(|at| searched + at) {
                spend(left, at + end.len())?;
                let found = self.buffer.split_to(at);
                drop(self.buffer.split_to(end.len()));
                return Ok(found);
            }
            if self.buffer.len() > *left {
                return Err(fields_too_large());
            }
            // The end may have begun already.
            searched = (self.buffer.len() + 1).saturating_sub(end.len());
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Refused> {
        match self.incoming.next().await? {
            Some(piece) => {
                self.buffer.extend_from_slice(&piece);
                Ok(())
            }
            None => Err(Refused::malformed("the form breaks off")),
        }
    }
}

fn spend(left: &mut usize, bytes: usize) -> Result<(), Refused> {
    *left = left.checked_sub(bytes).ok_or_else(fields_too_large)?;
    Ok(())
}

fn fields_too_large() -> Refused {
    Refused::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too_large",
        "the fields of the form are too long; the file comes last, as the field `file`",
    )
}

/// Where `needle` begins.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let rest = haystack.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// The boundary that a content type of a form names.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, _) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(content_type, "boundary")?;
    let fits = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len());
    (fits && boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte))).then_some(boundary)
}

/// The name of a part, by its headers.
fn part_name(headers: &str) -> Option<String> {
    let disposition = headers.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.trim().eq_ignore_ascii_case("content-disposition");
        is_it.then_some(value)
    })?;
    let (kind, _) = disposition.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    parameter(disposition, "name")
}

/// A parameter of a header, as a token or in quotes.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut is_quoted = false;
    let parameters = header.split(|character| {
        is_quoted ^= character == '"';
        character == ';' && !is_quoted
    });
    parameters.skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case(wanted) {
            return None;
        }
        let value = value.trim();
        let unquoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        Some(unquoted.unwrap_or(value).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::super::ServeConfig;
    use super::*;

    /// A form whose body comes in pieces of `size` bytes.
    fn form(body: &[u8], size: usize) -> Form {
        let pieces: Vec<_> = body
            .chunks(size)
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(stream::iter(pieces));
        Form::new(Incoming::new(body, &ServeConfig::new()), "XX")
    }

    fn field(name: &str, value: &str) -> String {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    fn with_file(fields: &str, file: &str) -> Vec<u8> {
        format!(
            "{fields}--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a;b.png\"\r\n\
             Content-Type: image/png\r\n\r\n{file}\r\n--XX--\r\n"
        )
        .into_bytes()
    }

    async fn file(form: &mut Form) -> Result<Vec<u8>, Refused> {
        let mut file = Vec::new();
        while let Some(piece) = form.file_piece().await? {
            file.extend_from_slice(&piece);
        }
        Ok(file)
    }

    #[tokio::test]
    async fn a_form_is_read_however_its_bytes_are_cut() {
        let content = "line\r\n--X\r\n--\r\r\n\r\n--XY end\r";
        let fields =
            field("key", "a/b") + &field("Policy", "text\r\nwith lines") + &field("signature", "");
        let body = with_file(&fields, content);
        for size in 1..body.len() {
            let mut form = form(&body, size);
            let found = form.fields().await.unwrap();
            assert_eq!(found["key"], "a/b");
            assert_eq!(found["policy"], "text\r\nwith lines");
            assert_eq!(found["signature"], "");
            assert_eq!(file(&mut form).await.unwrap(), content.as_bytes(), "{size}");
        }
    }

    #[tokio::test]
    async fn an_empty_file_and_a_preamble_are_fine() {
        let mut body = b"this is for no one\r\n".to_vec();
        body.extend(with_file(&field("key", "a"), ""));
        let mut form = form(&body, 7);
        assert_eq!(form.fields().await.unwrap().len(), 1);
        assert!(file(&mut form).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn forms_that_are_not_well_formed_are_refused() {
        let twice = field("key", "a") + &field("KEY", "b");
        let unknown = field("key", "a") + &field("acl", "public-read");
        let no_file = field("key", "a") + "--XX--\r\n";
        let nameless = "--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n".to_owned();
        for (body, status) in [
            (with_file(&twice, "x"), 400),
            (with_file(&unknown, "x"), 403),
            (no_file.into_bytes(), 400),
            (with_file(&nameless, "x"), 400),
            (b"--XX\r\nno end of headers".to_vec(), 400),
            (b"--XXjunk\r\n\r\n".to_vec(), 400),
            (b"nothing of a form".to_vec(), 400),
            (Vec::new(), 400),
        ] {
            let refused = form(&body, 16).fields().await.unwrap_err();
            let shown = String::from_utf8_lossy(&body);
            assert_eq!(refused.status.as_u16(), status, "{shown}");
        }
    }

    #[tokio::test]
    async fn a_file_that_breaks_off_is_refused() {
        let whole = with_file(&field("key", "a"), "content");
        let cut = &whole[..whole.len() - "\r\n--XX--\r\n".len()];
        let mut form = form(cut, 16);
        form.fields().await.unwrap();
        assert!(file(&mut form).await.is_err());
    }

    #[tokio::test]
    async fn endless_fields_and_headers_are_cut() {
        let long = "x".repeat(FIELDS_BYTES_MAX + 1);
        let header = format!("--XX\r\nX: {}", "x".repeat(PART_HEADERS_BYTES_MAX));
        for body in [field("key", &long), long.clone(), header] {
            let refused = form(body.as_bytes(), 4096).fields().await.unwrap_err();
            assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
        }
    }

    #[test]
    fn boundaries_are_read_in_both_forms() {
        let of = |text| boundary(text);
        assert_eq!(
            of("multipart/form-data; boundary=abc").as_deref(),
            Some("abc")
        );
        assert_eq!(
            of("Multipart/Form-Data; charset=utf-8; Boundary=\"a b;c\"").as_deref(),
            Some("a b;c")
        );
        for bad in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/mixed; boundary=a",
            "text/plain",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
        assert_eq!(of(&long), None);
    }
}
