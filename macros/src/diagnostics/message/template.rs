// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of `#[step_template]`.

use super::with_help;

pub(crate) const TEMPLATE_FORM: &str =
    "a step template needs its name: write `#[step_template(\"area.action\")]` above `#[step]`";

pub(crate) const TEMPLATE_IS_NO_STEP: &str =
    "a step template is a step: write `#[step]` below `#[step_template(..)]`";

pub(crate) fn template_name(text: &str) -> String {
    with_help(
        format!("`{text}` is not a valid name of a step template"),
        "write 1 to 100 characters: words of letters, digits, `_` and `-`, joined by dots",
    )
}
