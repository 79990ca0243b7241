// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Fernet tokens both ways with Python's `cryptography`, where Python has it; elsewhere the test says
//! that it did not run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use forktex_vault::{Context, Key, Scheme, Token, Vault};

const PAYLOADS: usize = 1_000;

/// Reads a key, then lines of `token payload`, the payload in base64: opens each token, compares, and
/// seals the payload anew.
const SCRIPT: &str = r#"
import base64, sys
from cryptography.fernet import Fernet
lines = sys.stdin.read().split("\n")
fernet = Fernet(lines[0].encode())
for line in lines[1:]:
    if not line:
        continue
    token, _, payload = line.partition(" ")
    payload = base64.urlsafe_b64decode(payload)
    assert fernet.decrypt(token.encode()) == payload
    print(fernet.encrypt(payload).decode())
"#;

#[test]
fn python_reads_what_we_write_and_we_read_what_python_writes() {
    let probe = Command::new("python3")
        .args(["-c", "import cryptography.fernet"])
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("DID NOT RUN: python3 with its package `cryptography` is not installed here");
        return;
    }

    let key = Key::generate().unwrap();
    let vault = Vault::from_key(&key)
        .scheme(Scheme::Fernet)
        .bound(Context::none());
    let payloads: Vec<Vec<u8>> = (0..PAYLOADS)
        .map(|_| {
            (0..fastrand::usize(..600))
                .map(|_| fastrand::u8(..))
                .collect()
        })
        .collect();
    let mut input = format!("{}\n", key.expose().as_str());
    for payload in &payloads {
        let token = vault.seal(payload).unwrap();
        writeln!(input, "{token} {}", URL_SAFE.encode(payload)).unwrap();
    }

    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "Python could not open a token of ours"
    );

    let answer = String::from_utf8(output.stdout).unwrap();
    let tokens: Vec<&str> = answer.lines().collect();
    assert_eq!(tokens.len(), PAYLOADS);
    for (token, payload) in tokens.into_iter().zip(&payloads) {
        let token: Token = token.parse().unwrap();
        assert_eq!(*vault.open(&token).unwrap(), *payload);
    }
}

/// What the later Python package makes of a passphrase:
/// `base64.urlsafe_b64encode(hashlib.sha256(passphrase).digest())`.
#[test]
fn a_passphrase_gives_the_key_that_python_makes_of_it() {
    let key = Key::from_passphrase_sha256("abc");
    assert_eq!(
        key.expose().as_str(),
        "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0="
    );
}
