// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A small HTTP client that sends what it is given: it decides nothing, encodes nothing and follows nothing.
//!
//! One connection for each request, and plain HTTP only: the servers are on the loopback interface.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands between the parts of a form.
const BOUNDARY: &str = "forktex-storage-test-boundary-7d1c";

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.and_then(Result::ok).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The host and port of an `http://` URL, and the rest as it stands.
pub(crate) fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("a URL of http");
    match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    }
}

/// Sends a request to the host of the URL.
pub(crate) async fn send(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: impl Into<Bytes>,
) -> Answer {
    let (address, target) = split(url);
    send_to(address, address, method, target, headers, body.into()).await
}

/// Sends a request to an address under any name of the host, with the path and query given.
pub(crate) async fn send_to(
    address: &str,
    host: &str,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Answer {
    let exchange = exchange(address, host, method, target, headers, body);
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time")
}

async fn exchange(
    address: &str,
    host: &str,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    // Ends with the answer, or when that is dropped.
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", host);
    for (name, value) in headers {
        // The host is sent above, and the length by what is sent.
        let is_sent = ["host", "content-length"];
        if !is_sent.iter().any(|sent| name.eq_ignore_ascii_case(sent)) {
            request = request.header(name, value);
        }
    }
    let request = request.body(Full::new(body)).unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body,
    }
}

/// Sends a form as a browser does: the fields in their order, and the file last.
pub(crate) async fn post_form(url: &str, fields: &[(String, String)], file: &[u8]) -> Answer {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type".to_owned(), kind)];
    send("POST", url, &headers, form(fields, file)).await
}

fn form(fields: &[(String, String)], file: &[u8]) -> Bytes {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let part = format!(
        "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"blob\"\r\n\
         content-type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(part.as_bytes());
    body.extend_from_slice(file);
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}
