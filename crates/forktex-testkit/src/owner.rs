// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Says which process owns a thing that may outlive it, so that others can tell what is left from
//! what is in use.
//!
//! Where the system does not tell (there is no `/proc`), it takes nothing for left.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::str::FromStr;
use std::sync::LazyLock;

use crate::process::{Stat, is_alive};

static CURRENT: LazyLock<Owner> = LazyLock::new(|| Owner {
    machine: machine(),
    pid: std::process::id(),
    started_ticks: Stat::of(std::process::id()).map_or(0, |stat| stat.started_ticks),
});

/// One process of one machine, for good: ids are used again, starts are not. As text, hexadecimal
/// numbers joined by underscores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    machine: u32,
    pid: u32,
    started_ticks: u64,
}

impl Owner {
    /// This process.
    pub(crate) fn current() -> Self {
        *CURRENT
    }

    /// Whether it is known to have been a process of this machine that runs no more.
    pub(crate) fn has_ended(self) -> bool {
        // Where the start is unknown, so is whether the id was used again.
        self.machine == CURRENT.machine
            && self.started_ticks != 0
            && !(is_alive(self.pid)
                && Stat::of(self.pid).is_some_and(|stat| stat.started_ticks == self.started_ticks))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            machine,
            pid,
            started_ticks,
        } = self;
        write!(formatter, "{machine:08x}_{pid:x}_{started_ticks:x}")
    }
}

/// The text names no owner.
#[derive(Debug)]
pub(crate) struct NotAnOwner;

impl FromStr for Owner {
    type Err = NotAnOwner;

    /// Takes the start of `text`; more fields may follow.
    fn from_str(text: &str) -> Result<Self, NotAnOwner> {
        let mut fields = text.trim_end().split('_');
        let mut next = || u64::from_str_radix(fields.next().unwrap_or_default(), 16);
        let (Ok(machine), Ok(pid), Ok(started_ticks)) = (next(), next(), next()) else {
            return Err(NotAnOwner);
        };
        let (Ok(machine), Ok(pid)) = (u32::try_from(machine), u32::try_from(pid)) else {
            return Err(NotAnOwner);
        };
        Ok(Self {
            machine,
            pid,
            started_ticks,
        })
    }
}

/// Tells this machine's process table from others': ids mean nothing outside it. A container has
/// its own, and so has the machine after a reboot.
fn machine() -> u32 {
    let mut hasher = DefaultHasher::new();
    for path in [
        "/proc/sys/kernel/random/boot_id",
        "/proc/sys/kernel/hostname",
    ] {
        fs::read_to_string(path)
            .unwrap_or_default()
            .hash(&mut hasher);
    }
    fs::read_link("/proc/self/ns/pid")
        .unwrap_or_default()
        .hash(&mut hasher);
    let bytes = hasher.finish().to_be_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_as_it_was_written() {
        let current = Owner::current();
        assert_eq!(current.to_string().parse::<Owner>().ok(), Some(current));
        assert_eq!(
            format!("{current}_more\n").parse::<Owner>().ok(),
            Some(current)
        );
        assert!("postgres".parse::<Owner>().is_err());
        assert!("1_2".parse::<Owner>().is_err());
    }

    #[test]
    fn only_a_process_of_this_machine_can_be_known_to_have_ended() {
        let current = Owner::current();
        let ended = Owner {
            pid: u32::MAX / 2,
            ..current
        };
        assert!(!current.has_ended());
        assert!(ended.has_ended());
        assert!(
            Owner {
                started_ticks: current.started_ticks + 1,
                ..current
            }
            .has_ended()
        );
        assert!(
            !Owner {
                machine: current.machine ^ 1,
                ..ended
            }
            .has_ended()
        );
        assert!(
            !Owner {
                started_ticks: 0,
                ..ended
            }
            .has_ended()
        );
    }
}
