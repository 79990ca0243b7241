// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Names of test databases. A name tells whose process made it, so that what a killed process
//! left on a server that outlives it can be told from what is in use.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::LazyLock;

use crate::process::{Stat, is_alive};

const PREFIX: &str = "forktex_test";

/// This process, as other processes of the machine can recognise it.
static OWNER: LazyLock<Owner> = LazyLock::new(|| Owner {
    machine: machine(),
    pid: std::process::id(),
    started_ticks: Stat::of(std::process::id()).map_or(0, |stat| stat.started_ticks),
});

#[derive(Debug, PartialEq, Eq)]
struct Owner {
    machine: u32,
    pid: u32,
    started_ticks: u64,
}

/// A name that no database has: at most 63 bytes, nothing to quote.
pub(super) fn fresh() -> String {
    let Owner {
        machine,
        pid,
        started_ticks,
    } = &*OWNER;
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!(
        "{PREFIX}_{machine:08x}_{pid:x}_{started_ticks:x}_{}",
        &random[..16]
    )
}

/// Whether `name` was made by a process of this machine that has ended since.
pub(crate) fn is_stale(name: &str) -> bool {
    parse(name).is_some_and(|owner| {
        // Where the start is unknown, so is whether the id was recycled: nothing is stale there.
        owner.machine == OWNER.machine
            && owner.started_ticks != 0
            && !(is_alive(owner.pid)
                && Stat::of(owner.pid)
                    .is_some_and(|stat| stat.started_ticks == owner.started_ticks))
    })
}

fn parse(name: &str) -> Option<Owner> {
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return None;
    }
    let mut fields = name.strip_prefix(PREFIX)?.strip_prefix('_')?.split('_');
    let machine = u32::from_str_radix(fields.next()?, 16).ok()?;
    let pid = u32::from_str_radix(fields.next()?, 16).ok()?;
    let started_ticks = u64::from_str_radix(fields.next()?, 16).ok()?;
    Some(Owner {
        machine,
        pid,
        started_ticks,
    })
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
    fn a_fresh_name_fits_and_names_this_process() {
        let name = fresh();
        assert!(name.len() <= 63, "{name}");
        assert_eq!(parse(&name).as_ref(), Some(&*OWNER));
        assert!(!is_stale(&name));
    }

    #[test]
    fn only_a_dead_process_of_this_machine_leaves_stale_names() {
        let machine = OWNER.machine;
        let pid = u32::MAX / 2;
        assert!(is_stale(&format!(
            "{PREFIX}_{machine:08x}_{pid:x}_5_0123456789abcdef"
        )));
        assert!(!is_stale(&format!(
            "{PREFIX}_{:08x}_{pid:x}_5_0123",
            machine ^ 1
        )));
        assert!(!is_stale(&format!("{PREFIX}_{machine:08x}_{pid:x}_0_0123")));
        assert!(!is_stale(&format!(
            "{PREFIX}_{machine:08x}_{pid:x}_5_\"; --"
        )));
        assert!(!is_stale("postgres"));
    }
}
