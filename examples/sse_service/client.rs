// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A small HTTP client, so that the example can speak to itself: one connection for each request.

use std::error::Error;
use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Speaks to one server.
pub(crate) struct Client(pub(crate) SocketAddr);

impl Client {
    /// Sends a request and reads the status and the body; `Null` for one that is empty.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Outcome<(StatusCode, Value)> {
        let response = self.send(method, path, headers, body).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        if bytes.is_empty() {
            return Ok((status, Value::Null));
        }
        Ok((status, serde_json::from_slice(&bytes)?))
    }

    /// Follows the events behind a path; none where the server says that there are no more.
    pub(crate) async fn follow(&self, path: &str, last_event_id: &str) -> Outcome<Option<Events>> {
        let headers = [("last-event-id", last_event_id)];
        let response = self.send(Method::GET, path, &headers, Value::Null).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::OK => Ok(Some(Events {
                body: response.into_body(),
                bytes: Vec::new(),
            })),
            other => Err(format!("{path} answered {other}").into()),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Outcome<Response<Incoming>> {
        let stream = TcpStream::connect(self.0).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the response, or when that is dropped.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.0.to_string())
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Value::Null => Bytes::new(),
            body => serde_json::to_vec(&body)?.into(),
        };
        Ok(sender.send_request(request.body(Full::new(body))?).await?)
    }
}

/// A `text/event-stream`.
pub(crate) struct Events {
    body: Incoming,
    /// What came and is not read yet.
    bytes: Vec<u8>,
}

/// One message of it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) data: String,
}

impl Events {
    /// The next message; none at the end.
    pub(crate) async fn next(&mut self) -> Outcome<Option<Message>> {
        loop {
            let end = self.bytes.windows(2).position(|pair| pair == b"\n\n");
            if let Some(end) = end {
                let message: Vec<u8> = self.bytes.drain(..end + 2).collect();
                let message = parsed(std::str::from_utf8(&message)?);
                if message.is_some() {
                    return Ok(message);
                }
                continue;
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            if let Ok(data) = frame?.into_data() {
                self.bytes.extend_from_slice(&data);
            }
        }
    }
}

/// None for a comment.
fn parsed(message: &str) -> Option<Message> {
    let field = |name: &str| {
        let lines = message.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next().map(str::to_owned)
    };
    Some(Message {
        id: field("id")?,
        event: field("event")?,
        data: field("data")?,
    })
}
