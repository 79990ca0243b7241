// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Names of test databases. A name tells whose process made it, so that what a killed process
//! left on a server that outlives it can be told from what is in use.

use crate::owner::Owner;

const PREFIX: &str = "forktex_test_";

/// A name that no database has: at most 63 bytes, nothing to quote.
pub(super) fn fresh() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{PREFIX}{}_{}", Owner::current(), &random[..16])
}

/// Whether `name` was made by a process of this machine that has ended since. Such a name needs no
/// quotes either.
pub(crate) fn is_stale(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name
            .strip_prefix(PREFIX)
            .and_then(|owner| owner.parse().ok())
            .is_some_and(Owner::has_ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_name_fits_and_is_not_stale() {
        let name = fresh();
        assert!(name.len() <= 63, "{name}");
        assert!(!is_stale(&name));
        let longest = format!(
            "{PREFIX}{:08x}_{:x}_{:x}_{:016x}",
            0,
            4_194_304,
            u64::MAX >> 8,
            0
        );
        assert!(longest.len() <= 63, "{longest}");
    }

    #[test]
    fn only_names_of_our_making_are_stale() {
        let ended = Owner::current().to_string();
        let (machine, _) = ended.split_once('_').unwrap_or_default();
        assert!(is_stale(&format!(
            "{PREFIX}{machine}_7fffffff_5_0123456789abcdef"
        )));
        assert!(!is_stale(&format!("{PREFIX}{machine}_7fffffff_5_\"; --")));
        assert!(!is_stale("postgres"));
    }
}
