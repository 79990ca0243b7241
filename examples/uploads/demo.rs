// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The show: what the page does, by plain HTTP, and what becomes of those who cheat.

use std::net::SocketAddr;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::client::{self, Answer};
use crate::service::PICTURE_BYTES_MAX;
use crate::{Outcome, say};

/// A picture of one pixel begins so, and that is all that is looked at.
const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
const PAGE: &[u8] = b"<!doctype html><script>alert(1)</script>";

pub(crate) async fn play(address: SocketAddr) -> Outcome {
    let page = client::get(address, "/").await?;
    is(&page, StatusCode::OK, "the page is there")?;

    let ticket = Ticket::take(address, "a cat.png").await?;
    let early = ticket.finalize(address).await?;
    is(
        &early,
        StatusCode::CONFLICT,
        "nothing to check before it arrived",
    )?;
    let sent = ticket.upload(address, PICTURE).await?;
    check(sent.status.is_success(), "a picture is uploaded")?;
    let placed = ticket.finalize(address).await?;
    is(
        &placed,
        StatusCode::OK,
        "it is checked and put in its place",
    )?;
    let told = placed.json();
    check(
        told["content_type"] == "image/png",
        "its type was found in its bytes",
    )?;
    check(told["size"] == json!(PICTURE.len()), "its size is told")?;
    let again = ticket.finalize(address).await?;
    is(
        &again,
        StatusCode::OK,
        "whoever asks again is answered the same",
    )?;

    let link = path(&told["link"])?;
    let read = client::get(address, &link).await?;
    is(&read, StatusCode::OK, "the link reads it")?;
    check(read.body == PICTURE, "the bytes are the same")?;
    let disposition = read.header("content-disposition");
    check(
        disposition.contains("a cat.png"),
        "it is downloaded under its name",
    )?;
    cheat(address, &link).await
}

async fn cheat(address: SocketAddr, link: &str) -> Outcome {
    let (file, query) = link.split_once('?').ok_or("a link has a query")?;
    let unsigned = client::get(address, file).await?;
    is(
        &unsigned,
        StatusCode::FORBIDDEN,
        "without its signature a link reads nothing",
    )?;
    let other = client::get(address, &format!("{file}0?{query}")).await?;
    is(
        &other,
        StatusCode::FORBIDDEN,
        "nor does it read another file",
    )?;

    let ticket = Ticket::take(address, "page.png").await?;
    let sent = ticket.upload(address, PAGE).await?;
    check(
        sent.status.is_success(),
        "a page that is called a picture arrives",
    )?;
    let found = ticket.finalize(address).await?;
    is(&found, StatusCode::UNPROCESSABLE_ENTITY, "and is found out")?;
    say(format_args!("  {}", found.json()["error"]))?;
    let gone = ticket.finalize(address).await?;
    is(&gone, StatusCode::CONFLICT, "it was deleted")?;

    let ticket = Ticket::take(address, "large.png").await?;
    let mut large = PICTURE.to_vec();
    large.resize(usize::try_from(PICTURE_BYTES_MAX)? + 1, 0);
    let sent = ticket.upload(address, &large).await?;
    check(
        sent.status.is_client_error(),
        "a picture that is too large does not even arrive",
    )?;
    let forged = json!({ "token": format!("{}x", ticket.token) });
    let forged = client::post(address, "/app/finalize", &forged).await?;
    is(
        &forged,
        StatusCode::FORBIDDEN,
        "a ticket that was changed is none",
    )
}

/// What a client gets to upload one file.
struct Ticket {
    token: String,
    /// The path of the URL that the form is posted to.
    path: String,
    fields: Vec<(String, String)>,
}

impl Ticket {
    async fn take(address: SocketAddr, name: &str) -> Outcome<Self> {
        let answer = client::post(address, "/app/tickets", &json!({ "name": name })).await?;
        is(&answer, StatusCode::OK, "a ticket is given")?;
        let mut ticket = answer.json();
        Ok(Self {
            token: ticket["token"].as_str().unwrap_or_default().to_owned(),
            path: path(&ticket["upload"]["url"])?,
            fields: serde_json::from_value(ticket["upload"]["fields"].take())?,
        })
    }

    async fn upload(&self, address: SocketAddr, file: &[u8]) -> Outcome<Answer> {
        client::submit(address, &self.path, &self.fields, file).await
    }

    async fn finalize(&self, address: SocketAddr) -> Outcome<Answer> {
        client::post(address, "/app/finalize", &json!({ "token": self.token })).await
    }
}

/// The path and query of a URL of this service.
fn path(url: &Value) -> Outcome<String> {
    let url: hyper::Uri = url.as_str().ok_or("there is no URL")?.parse()?;
    let path = url.path_and_query().ok_or("the URL has no path")?;
    Ok(path.to_string())
}

fn is(answer: &Answer, status: StatusCode, what: &str) -> Outcome {
    if answer.status != status {
        let said = String::from_utf8_lossy(&answer.body);
        let found = answer.status;
        return Err(format!("this does not hold: {what}; {found} instead: {said}").into());
    }
    check(true, what)
}

fn check(holds: bool, what: &str) -> Outcome {
    if !holds {
        return Err(format!("this does not hold: {what}").into());
    }
    say(format_args!("- {what}"))
}
