// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A small HTTP client, so that the example can speak to itself: one connection for each request.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::Outcome;
use crate::service::{API, TENANT};

/// What the server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// `Null` where there is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A tenant's browser, as it were.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) tenant: &'static str,
}

impl Client {
    pub(crate) async fn get(self, path: &str) -> Outcome<Answer> {
        let request = Request::get(format!("{API}{path}"));
        self.send(request, Vec::new()).await
    }

    pub(crate) async fn post(self, path: &str, body: &Value) -> Outcome<Answer> {
        let request = Request::post(format!("{API}{path}"));
        let request = request.header("content-type", "application/json");
        self.send(request, serde_json::to_vec(body)?).await
    }

    /// Changes a row of which the caller has read this version.
    pub(crate) async fn patch(self, path: &str, version: &str, body: &Value) -> Outcome<Answer> {
        let request = Request::patch(format!("{API}{path}"))
            .header("content-type", "application/json")
            .header("if-match", version);
        self.send(request, serde_json::to_vec(body)?).await
    }

    /// Sends a CSV.
    pub(crate) async fn upload(self, path: &str, csv: &str) -> Outcome<Answer> {
        let request = Request::post(format!("{API}{path}")).header("content-type", "text/csv");
        self.send(request, csv.as_bytes().to_vec()).await
    }

    /// The page, which belongs to nobody.
    pub(crate) async fn page(self) -> Outcome<Answer> {
        self.send(Request::get("/"), Vec::new()).await
    }

    async fn send(self, request: hyper::http::request::Builder, body: Vec<u8>) -> Outcome<Answer> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the response, or when that is dropped.
        tokio::spawn(connection);
        let request = request
            .header("host", self.address.to_string())
            .header(TENANT, self.tenant)
            .body(Full::new(Bytes::from(body)))?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        Ok(Answer {
            status: parts.status,
            body: body.collect().await?.to_bytes(),
        })
    }
}
