// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the macros refuse, and in which words: one case a message, the words in the `.stderr` beside
//! it. After a wording is changed on purpose, `TRYBUILD=overwrite` writes them anew.

#[test]
fn each_mistake_has_its_message() {
    trybuild::TestCases::new().compile_fail("compile_fail/*/*.rs");
}
