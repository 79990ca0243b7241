// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A small HTTP client, so that the example can speak to itself: one connection for each request.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::Outcome;

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default()
    }

    /// `Null` where there is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends JSON by `POST`.
pub(crate) async fn post(address: SocketAddr, path: &str, body: &Value) -> Outcome<Answer> {
    let request = Request::post(path).header("content-type", "application/json");
    send(address, request, serde_json::to_vec(body)?).await
}

/// Reads a path, which may have a query.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Outcome<Answer> {
    send(address, Request::get(path), Vec::new()).await
}

/// Sends a form with a file, which comes last, as a browser does.
pub(crate) async fn submit(
    address: SocketAddr,
    path: &str,
    fields: &[(String, String)],
    file: &[u8],
) -> Outcome<Answer> {
    let boundary = Uuid::new_v4().simple().to_string();
    let part = |disposition: &str| {
        format!("--{boundary}\r\ncontent-disposition: form-data; {disposition}\r\n\r\n")
    };
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = part(&format!("name=\"{name}\""));
        body.extend_from_slice(format!("{part}{value}\r\n").as_bytes());
    }
    body.extend_from_slice(part("name=\"file\"; filename=\"file\"").as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let request = Request::post(path).header("content-type", content_type);
    send(address, request, body).await
}

async fn send(
    address: SocketAddr,
    request: hyper::http::request::Builder,
    body: Vec<u8>,
) -> Outcome<Answer> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the response, or when that is dropped.
    tokio::spawn(connection);
    let request = request.header("host", address.to_string());
    let request = request.body(Full::new(Bytes::from(body)))?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await?.to_bytes(),
    })
}
