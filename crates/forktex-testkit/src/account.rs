// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The unprivileged account that servers run as where the tests run as root.
//!
//! Postgres refuses root. Where the process is an ordinary user, servers run as that user and
//! nothing here applies.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::TestkitError;

/// Accounts to run servers as, best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// A user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whether child processes must switch to it.
    switch: bool,
}

impl Account {
    /// The account for servers: the current one, or an unprivileged one where that is root.
    pub(crate) fn for_servers() -> Result<Self, TestkitError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::current());
        }
        let passwd =
            fs::read_to_string("/etc/passwd").map_err(TestkitError::io("read", "/etc/passwd"))?;
        CANDIDATES
            .iter()
            .find_map(|name| find(&passwd, name))
            .ok_or(TestkitError::NoUnprivilegedAccount)
    }

    /// The account that this process runs as.
    pub(crate) fn current() -> Self {
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            switch: false,
        }
    }

    /// Makes `command` run as this account.
    pub(crate) fn apply(self, command: &mut Command) {
        if self.switch {
            // The standard library also clears the supplementary groups when root sets a uid.
            command.uid(self.uid).gid(self.gid);
        }
    }
}

fn find(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account {
            uid,
            gid,
            switch: true,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:,,,:/var:/bin/sh\n";
        assert_eq!(
            find(passwd, "postgres"),
            Some(Account {
                uid: 101,
                gid: 104,
                switch: true
            })
        );
        assert_eq!(find(passwd, "nobody"), None);
    }
}
