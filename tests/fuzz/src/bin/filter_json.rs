// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters from JSON: whatever the document, there is an answer, and what is accepted is read back the
//! same from its own JSON.
#![no_main]

use forktex_db::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(json) = serde_json::from_slice(data) else {
        return;
    };
    match Filter::<()>::from_json(&json) {
        Ok(filter) => {
            let again = Filter::from_json(&filter.to_json());
            assert!(again.is_ok_and(|again| again == filter));
            let _ = filter.only(&["a"]);
        }
        Err(error) => assert!(error.path().is_empty() || error.path().starts_with('/')),
    }
});
