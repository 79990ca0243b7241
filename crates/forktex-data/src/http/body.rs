// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Bodies within their limits, and query strings.
//!
//! What the JSON parser says of a body is reduced to the place: it may quote it.

use std::fmt;
use std::io;
use std::marker::PhantomData;

use axum::body::Body;
use futures_util::stream::{Stream, StreamExt as _};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::Problem;

/// Reads a body as JSON.
pub(super) async fn json<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, Problem> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Problem::malformed("the body broke off"))?;
        if bytes.len() + piece.len() > bytes_max {
            return Err(Problem::too_large(bytes_max as u64));
        }
        bytes.extend_from_slice(&piece);
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "has another form than is expected",
            _ => "is not JSON",
        };
        Problem::malformed(format!("the body {what}, at line {line}, column {column}"))
    })
}

/// What is written as an object. Serde by itself takes a list of the members' values as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// A body as it comes, which ends with an error where it passes the limit.
pub(super) fn limited(
    body: Body,
    bytes_max: u64,
) -> impl Stream<Item = io::Result<axum::body::Bytes>> + Send {
    let mut seen: u64 = 0;
    body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        seen = seen.saturating_add(piece.len() as u64);
        if seen > bytes_max {
            let reason = format!("the body has more than {bytes_max} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        Ok(piece)
    })
}

/// The members of a query string, decoded.
pub(super) fn members(query: Option<&str>) -> Result<Vec<(String, String)>, Problem> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode(name)?, decode(value)?))
    });
    let decoded: Option<Vec<_>> = decoded.collect();
    decoded.ok_or_else(|| Problem::malformed("the query string is not encoded as it should be"))
}

/// Undoes the encoding of a query string: `+` is a space, `%20` a byte.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (rest.next()?, rest.next()?);
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_string_is_decoded_once() {
        let read = members(Some("a=1%202+3&b&c=%2525&d=%C3%A4")).unwrap();
        let read: Vec<_> = read.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(read, [("a", "1 2 3"), ("b", ""), ("c", "%25"), ("d", "ä")]);
        assert!(members(Some("a=%f")).is_err() && members(Some("a=%ff")).is_err());
        assert!(members(None).unwrap().is_empty());
    }

    #[test]
    fn an_object_is_no_list() {
        #[derive(Deserialize)]
        struct Point {
            x: u8,
        }

        let read = |text| serde_json::from_str::<Object<Point>>(text);
        assert_eq!(read("{\"x\": 1}").unwrap().0.x, 1);
        assert!(read("[1]").is_err() && read("null").is_err() && read("{}").is_err());
    }

    #[tokio::test]
    async fn a_body_is_not_read_beyond_its_limit() {
        let problem = json::<serde_json::Value>(Body::from("[1, 2]"), 5)
            .await
            .unwrap_err();
        assert_eq!(problem.status(), axum::http::StatusCode::PAYLOAD_TOO_LARGE);
        let read: Vec<u8> = json(Body::from("[1, 2]"), 6).await.unwrap();
        assert_eq!(read, [1, 2]);
        let problem = json::<Vec<u8>>(Body::from("[\"secret\"]"), 99)
            .await
            .unwrap_err();
        assert!(!format!("{problem:?}").contains("secret"));
    }
}
