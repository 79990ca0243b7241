// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! One request to a server of ours on this machine, so that no HTTP client has to be built for it. It
//! knows neither TLS nor chunks: it asks by HTTP/1.0, and reads to the end.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use crate::error::Error;

/// The body of the answer.
///
/// # Errors
/// `NotStarted` where there is no answer, `Failed` where it is a refusal.
pub(super) fn request(
    address: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<String, Error> {
    let what = format!("{method} {path}");
    let answer = exchange(address, method, path, body);
    let answer = answer.map_err(|source| Error::NotStarted {
        program: what.clone(),
        source,
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        return Err(Error::Failed {
            what: format!("{what}: {status} {body}"),
            code: 1,
        });
    }
    Ok(body.to_owned())
}

fn exchange(address: &str, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nhost: {address}\r\nx-tenant: north\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
