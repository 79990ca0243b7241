// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Coercions: whatever JSON or text is given to a field of whatever type, there is an answer, and what is
//! accepted is accepted again in the form that it was given.
#![no_main]

use forktex_data::__private::coerce_of_any_kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| coerce_of_any_kind(data));
