// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Finds a `COMMIT` in what a client says to Postgres, whatever the pieces it arrives in.
//!
//! It follows the frames of the protocol, keeps a bounded part of each, and never fails: bytes of
//! another protocol merely hold no `COMMIT`.

use std::collections::HashSet;

/// Longer messages are followed, but not looked into.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// From here on the protocol's requests for encryption and cancellation are numbered; below are
/// versions.
const SPECIAL_REQUESTS: u32 = 1234 << 16;

/// Follows one client's stream.
#[derive(Debug, Default)]
pub(super) struct CommitFinder {
    is_started: bool,
    /// The head of the message being read: its type, if it has one, and its length.
    head: Vec<u8>,
    body: Vec<u8>,
    /// Of the body, in bytes.
    missing: usize,
    commit_statements: HashSet<Vec<u8>>,
    commit_portals: HashSet<Vec<u8>>,
}

impl CommitFinder {
    /// Takes the next bytes, and says whether a message that commits ends in them.
    pub(super) fn finds_commit(&mut self, mut bytes: &[u8]) -> bool {
        let mut found = false;
        while let Some((&first, rest)) = bytes.split_first() {
            if self.head.len() < self.head_bytes() {
                self.head.push(first);
                bytes = rest;
                if self.head.len() == self.head_bytes() {
                    self.missing = self.body_bytes();
                }
            } else {
                let (part, rest) = bytes.split_at(self.missing.min(bytes.len()));
                let room = BODY_BYTES_MAX.saturating_sub(self.body.len());
                self.body.extend_from_slice(&part[..part.len().min(room)]);
                self.missing -= part.len();
                bytes = rest;
            }
            if self.head.len() == self.head_bytes() && self.missing == 0 {
                found |= self.end_message();
            }
        }
        found
    }

    /// The first messages have no type byte.
    fn head_bytes(&self) -> usize {
        if self.is_started { 5 } else { 4 }
    }

    fn body_bytes(&self) -> usize {
        let length = self.head.iter().rev().take(4).rev();
        let length = length.fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte));
        // The length counts itself.
        length.saturating_sub(4)
    }

    fn end_message(&mut self) -> bool {
        let head = std::mem::take(&mut self.head);
        let body = std::mem::take(&mut self.body);
        if !self.is_started {
            let code = body
                .first_chunk()
                .map_or(0, |code| u32::from_be_bytes(*code));
            self.is_started = code < SPECIAL_REQUESTS;
            return false;
        }
        let mut texts = body.split(|&byte| byte == 0).map(<[u8]>::to_vec);
        let (Some(kind), Some(first)) = (head.first(), texts.next()) else {
            return false;
        };
        match kind {
            b'Q' => commits(&first),
            // Parse: a statement's name and text.
            b'P' => {
                let is_commit = texts.next().is_some_and(|sql| commits(&sql));
                remember(&mut self.commit_statements, first, is_commit);
                false
            }
            // Bind: a portal's name and its statement's.
            b'B' => {
                let is_commit = texts
                    .next()
                    .is_some_and(|statement| self.commit_statements.contains(&statement));
                remember(&mut self.commit_portals, first, is_commit);
                false
            }
            // Execute: a portal's name.
            b'E' => self.commit_portals.contains(&first),
            _ => false,
        }
    }
}

fn remember(set: &mut HashSet<Vec<u8>>, name: Vec<u8>, is_commit: bool) {
    if is_commit {
        set.insert(name);
    } else {
        set.remove(&name);
    }
}

/// Whether the last statement of `sql` ends a transaction by committing it.
fn commits(sql: &[u8]) -> bool {
    let sql = String::from_utf8_lossy(sql).to_ascii_uppercase();
    let sql = sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    let last = sql.rsplit(';').next().unwrap_or(sql);
    let mut words = last.split_whitespace();
    matches!(words.next(), Some("COMMIT" | "END"))
        && matches!(words.next(), None | Some("WORK" | "TRANSACTION"))
        && words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    fn started() -> CommitFinder {
        let mut finder = CommitFinder::default();
        // An SSLRequest, then the start itself.
        assert!(!finder.finds_commit(&[0, 0, 0, 8, 4, 210, 22, 47]));
        assert!(!finder.finds_commit(&[0, 0, 0, 9, 0, 3, 0, 0, 0]));
        finder
    }

    #[test]
    fn a_simple_commit_is_found_byte_by_byte() {
        let mut finder = started();
        let bytes = [message(b'Q', b"SELECT 1\0"), message(b'Q', b" commit ;\0")].concat();
        let found: Vec<usize> = (0..bytes.len())
            .filter(|&at| finder.finds_commit(&bytes[at..=at]))
            .collect();
        assert_eq!(found, [bytes.len() - 1]);
    }

    #[test]
    fn a_prepared_commit_is_found_when_it_is_executed() {
        let mut finder = started();
        assert!(!finder.finds_commit(&message(b'P', b"s1\0COMMIT\0\0\0")));
        assert!(!finder.finds_commit(&message(b'B', b"\0s1\0\0\0\0\0\0\0")));
        assert!(finder.finds_commit(&message(b'E', b"\0\0\0\0\0")));
        assert!(!finder.finds_commit(&message(b'B', b"\0s2\0\0\0\0\0\0\0")));
        assert!(!finder.finds_commit(&message(b'E', b"\0\0\0\0\0")));
    }

    #[test]
    fn only_the_end_of_a_transaction_commits() {
        for sql in [
            "COMMIT",
            "end",
            "COMMIT WORK;",
            "INSERT INTO t VALUES (1); COMMIT",
        ] {
            assert!(commits(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "COMMIT PREPARED 'x'",
            "SELECT 'COMMIT'",
            "ROLLBACK",
            "",
            ";",
        ] {
            assert!(!commits(sql.as_bytes()), "{sql}");
        }
    }

    #[test]
    fn other_protocols_are_let_through() {
        assert!(!CommitFinder::default().finds_commit(b"*1\r\n$4\r\nPING\r\n"));
    }
}
