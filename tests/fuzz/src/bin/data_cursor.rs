// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cursors of registers: whatever the text, there is an answer.
#![no_main]

use forktex_data::parse_cursor_of_any_kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        parse_cursor_of_any_kind(text);
    }
});
