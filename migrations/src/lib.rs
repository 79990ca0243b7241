// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The SQL migrations of the ForkTex crates, as data: one constant per crate, oldest first.
