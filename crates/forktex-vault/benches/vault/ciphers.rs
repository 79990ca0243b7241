// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealing and opening, against XChaCha20-Poly1305 alone. Both draw their nonces from the system.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use forktex_vault::{Key, Vault};

use forktex_testkit::figure::{Figure, median};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(200);
/// How many calls there are between two looks at the clock.
const CALLS: u32 = 100;

pub(crate) fn measure() -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = Vec::new();
    for (bytes, seal, open) in [
        (256, "vault.seal_256", "vault.open_256"),
        (4_096, "vault.seal_4096", "vault.open_4096"),
    ] {
        let plaintext = vec![7; bytes];
        let cell = Vault::from_key(&Key::generate()?).context("app.credential", "payload", 7);
        let cipher = XChaCha20Poly1305::new(&[7; 32].into());
        let token = cell.seal(&plaintext)?;
        let (nonce, sealed) = seal_bare(&cipher, &plaintext)?;
        let mut rates = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            rates[0].push(rate(|| {
                black_box(cell.seal(black_box(&plaintext))?);
                Ok(())
            })?);
            rates[1].push(rate(|| {
                black_box(seal_bare(&cipher, black_box(&plaintext))?);
                Ok(())
            })?);
            rates[2].push(rate(|| {
                black_box(cell.open(black_box(&token))?);
                Ok(())
            })?);
            rates[3].push(rate(|| {
                let mut buffer = black_box(&sealed).clone();
                let opened = cipher.decrypt_in_place(&nonce, b"", &mut buffer);
                opened.map_err(|_| "the bare cipher refused")?;
                black_box(buffer);
                Ok(())
            })?);
        }
        let [ours_seal, bare_seal, ours_open, bare_open] = rates.map(median);
        figures.push(figure(seal, ours_seal, bare_seal));
        figures.push(figure(open, ours_open, bare_open));
    }
    Ok(figures)
}

fn seal_bare(
    cipher: &XChaCha20Poly1305,
    plaintext: &[u8],
) -> Result<(XNonce, Vec<u8>), Box<dyn Error>> {
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce)?;
    let nonce = XNonce::from(nonce);
    let mut buffer = Vec::with_capacity(plaintext.len() + 16);
    buffer.extend_from_slice(plaintext);
    let sealed = cipher.encrypt_in_place(&nonce, b"", &mut buffer);
    sealed.map_err(|_| "the bare cipher refused")?;
    Ok((nonce, buffer))
}

/// Calls a second.
fn rate(call: impl Fn() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let mut calls = 0_u32;
    while started.elapsed() < ROUND {
        for _ in 0..CALLS {
            call()?;
        }
        calls += CALLS;
    }
    Ok(f64::from(calls) / started.elapsed().as_secs_f64())
}

fn figure(bench: &'static str, value: f64, baseline: f64) -> Figure {
    Figure {
        bench,
        value,
        unit: "ops/s",
        baseline,
        ratio: value / baseline,
        bar: 0.7,
        at_most: false,
    }
}
