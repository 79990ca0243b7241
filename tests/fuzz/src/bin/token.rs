// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tokens of the vault: whatever the bytes or the text, there is an answer, and what is accepted comes
//! back as it was and opens for nobody.
#![no_main]

use std::sync::LazyLock;

use forktex_vault::{Key, Token, Vault};
use libfuzzer_sys::fuzz_target;

static VAULT: LazyLock<Vault> =
    LazyLock::new(|| Vault::from_key(&Key::from_bytes([7; 32])).reading_fernet());

fuzz_target!(|data: &[u8]| {
    if let Ok(token) = Token::from_bytes(data) {
        let text = token.to_string();
        assert!(
            token.to_bytes() == data || text.as_bytes() == data,
            "a token has one form in each kind of column"
        );
        assert!(text.parse::<Token>().is_ok_and(|again| again == token));
        let _ = (token.scheme(), token.key_id(), token.sealed_at());
        assert!(VAULT.decrypt::<String>(&token).is_err());
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = text.parse::<Token>()
    {
        assert_eq!(token.to_string(), text, "a token has one text");
        assert!(VAULT.decrypt::<String>(&token).is_err());
    }
});
