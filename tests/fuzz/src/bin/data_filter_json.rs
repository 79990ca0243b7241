// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters of registers from JSON: whatever the document, there is an answer, and what is accepted is read
//! back the same from its own JSON.
#![no_main]

use forktex_data::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(json) = serde_json::from_slice(data) else {
        return;
    };
    match Filter::from_json(&json) {
        Ok(filter) => {
            let written = filter.to_json();
            let again = Filter::from_json(&written);
            assert!(again.is_ok_and(|again| again.to_json() == written));
        }
        Err(error) => {
            let path = error.path().unwrap_or_default();
            assert!(path.is_empty() || path.starts_with('/'));
        }
    }
});
