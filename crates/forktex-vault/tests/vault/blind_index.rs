// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fingerprints of sealed values.

use forktex_vault::{Key, Vault};

#[test]
fn equal_values_of_one_place_have_one_fingerprint_and_others_have_not() {
    let key = Key::generate().unwrap();
    let vault = Vault::from_key(&key);
    let index = || vault.blind_index("app.user", "email");
    let all = [
        index().of("a"),
        index().of("b"),
        index().of(""),
        index().of("\0a"),
        index().org(1).of("a"),
        index().org(2).of("a"),
        vault.blind_index("app.user", "phone").of("a"),
        vault.blind_index("app.users", "email").of("a"),
        Vault::from_key(&Key::generate().unwrap())
            .blind_index("app.user", "email")
            .of("a"),
    ];
    for (n, one) in all.iter().enumerate() {
        assert!(!all[n + 1..].contains(one), "{n}");
    }
    assert_eq!(
        Vault::from_key(&key)
            .blind_index("app.user", "email")
            .of("a"),
        all[0]
    );
}

/// Each process moves on its own: some already write under the new key, some still under the old.
#[test]
fn values_are_found_at_every_stage_of_a_rotation() {
    let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
    let stages = [
        Vault::from_key(&old).with_previous(&new),
        Vault::from_key(&new).with_previous(&old),
    ];
    let index = |vault: &Vault| vault.blind_index("app.user", "email").org(1);
    for writer in &stages {
        for reader in &stages {
            let candidates = index(reader).candidates("a");
            assert_eq!(candidates.len(), 2);
            assert!(candidates.contains(&index(writer).of("a")));
            assert_eq!(candidates[0], index(reader).of("a"));
        }
    }
    let after = Vault::from_key(&new);
    assert_eq!(index(&after).candidates("a"), [index(&stages[1]).of("a")]);
}
