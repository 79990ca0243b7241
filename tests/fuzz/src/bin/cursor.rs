// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cursors of pages: whatever the text, and whatever the payload, there is an answer.
#![no_main]

use forktex_db::__private::parse_cursor_of_any_kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| parse_cursor_of_any_kind(data));
