// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Tests that cross crates. The library holds nothing but the README, so that its examples compile.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
