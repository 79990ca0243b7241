// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A blocking connection that sends a command and reads its answer, for start-up only.
//!
//! Of the protocol's answers it knows the simple ones; arrays are beyond it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Of one text; nothing asked for here comes near.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(TIME_LIMIT))?;
        stream.set_write_timeout(Some(TIME_LIMIT))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one command; gives its answer as text, or the server's refusal as an error.
    pub(super) fn ask(&mut self, words: &[&str]) -> io::Result<String> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            write!(request, "${}\r\n{word}\r\n", word.len())?;
        }
        self.stream.get_mut().write_all(&request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        match line.split_at_checked(1) {
            Some(("+" | ":", text)) => Ok(text.to_owned()),
            Some(("-", refusal)) => Err(io::Error::other(refusal.to_owned())),
            Some(("$", length)) => self.read_text(length),
            _ => Err(unexpected(line)),
        }
    }

    fn read_text(&mut self, length: &str) -> io::Result<String> {
        let length: usize = length.parse().map_err(|_| unexpected(length))?;
        if length > TEXT_BYTES_MAX {
            return Err(unexpected("a text too long"));
        }
        // With the line end after it.
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text)?;
        text.truncate(length);
        String::from_utf8(text).map_err(|_| unexpected("bytes that are no text"))
    }
}

fn unexpected(answer: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("unexpected answer: {answer}"),
    )
}
