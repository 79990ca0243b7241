// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the kernel knows of other processes: whether they live, whose children they are; signals.
//!
//! Reads `/proc` where there is one, and asks `ps` elsewhere.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::TestkitError;

/// Between two looks at something that has no event to wait for.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// One line of `/proc/<pid>/stat`, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) parent: u32,
    /// Ended, but not yet reaped by its parent.
    pub(crate) zombie: bool,
    /// In clock ticks since the machine's start: with the id, it names a process for good.
    pub(crate) started_ticks: u64,
}

impl Stat {
    /// Of a process that exists, zombies included.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The second field, the program's name, may hold spaces and brackets.
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let zombie = matches!(fields.next()?, "Z" | "X");
        let parent = fields.next()?.parse().ok()?;
        let started_ticks = fields.nth(17)?.parse().ok()?;
        Some(Self {
            parent,
            zombie,
            started_ticks,
        })
    }
}

/// Whether this machine has `/proc`.
pub(crate) fn has_proc() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// The direct children of `parent` that have not ended.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    if !has_proc() {
        return children_by_ps(parent).unwrap_or_default();
    }
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| Stat::of(pid).is_some_and(|stat| stat.parent == parent && !stat.zombie))
        .collect()
}

fn children_by_ps(parent: u32) -> io::Result<Vec<u32>> {
    let output = Command::new("ps")
        .args(["-A", "-o", "pid=,ppid="])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            let (pid, of) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
            (of == parent).then_some(pid)
        })
        .collect())
}

/// Whether a process runs; a zombie does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    if has_proc() {
        return Stat::of(pid).is_some_and(|stat| !stat.zombie);
    }
    to_pid(pid).is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// Sends `signal`; a process that is gone already is not an error.
pub(crate) fn send(pid: u32, signal: Signal) -> Result<(), TestkitError> {
    let Some(target) = to_pid(pid) else {
        return Ok(());
    };
    match kill_process(target, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(TestkitError::Signal {
            pid,
            source: error.into(),
        }),
    }
}

/// Polls `condition` until it holds or `limit` has passed; says whether it held.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    true
}

fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_past_a_name_with_brackets() {
        let line = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 2";
        assert_eq!(
            Stat::parse(line),
            Some(Stat {
                parent: 7,
                zombie: false,
                started_ticks: 98_765
            })
        );
    }

    #[test]
    fn this_process_is_alive_and_is_its_childs_parent() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(u32::MAX / 2));
    }
}
