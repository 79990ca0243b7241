// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Files of rows, as CSV and as JSON: whatever the bytes, and however they are cut into pieces, there is an
//! answer, and it is the same.
#![no_main]

use forktex_data::__private::read_file_of_any_kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = read_file_of_any_kind(data, data.len().max(1));
    let in_bytes = read_file_of_any_kind(data, 1);
    assert_eq!(whole, in_bytes, "the pieces of a file do not matter");
});
