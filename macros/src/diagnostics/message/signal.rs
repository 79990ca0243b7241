// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[derive(Signal)]`.

use super::with_help;

pub(crate) const GENERIC_SIGNAL: &str = "a signal takes no generics, lifetimes or where clause";

pub(crate) const SIGNAL_IS_UNION: &str = "a signal is a struct or an enum, not a union";

pub(crate) const SIGNAL_WITHOUT_NAME: &str =
    "a signal needs its name: write `#[signal(\"area.event\")]`";

pub(crate) const SIGNAL_NAMED_TWICE: &str = "`#[signal(..)]` is given twice: keep one";

pub(crate) const SIGNAL_FORM: &str =
    "expected `#[signal(\"area.event\")]`, or `#[signal(\"area.event\", crate = ::path)]`";

pub(crate) fn signal_name(text: &str) -> String {
    with_help(
        format!("`{text}` is not a valid signal name"),
        "write 1 to 200 characters: words of letters, digits, `_` and `-`, joined by dots",
    )
}
