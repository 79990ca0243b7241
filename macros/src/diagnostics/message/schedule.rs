// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The messages of schedules.

use super::with_help;
use crate::diagnostics::nearest;

pub(crate) fn malformed_cron(text: &str, reason: &str) -> String {
    with_help(
        format!("`{text}` is not a cron expression: {reason}"),
        "write `minute hour day month weekday`, such as \"0 2 * * *\", with seconds before them if need be",
    )
}

pub(crate) fn cron_never_fires(text: &str) -> String {
    with_help(
        format!("`{text}` never fires: no date matches it"),
        "change its day or month",
    )
}

pub(crate) fn no_timezone<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> String {
    let message = format!("there is no time zone `{text}`");
    match nearest(text, names) {
        Some(near) => with_help(message, format!("a similar name exists: `{near}`")),
        None => with_help(
            message,
            "write a name of the IANA database, such as \"Europe/Berlin\"",
        ),
    }
}

pub(crate) fn no_such_word<'a>(
    option: &str,
    written: &str,
    words: impl Iterator<Item = &'a str>,
) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    with_help(
        format!("`{option}` cannot be `{written}`"),
        format!("the words are {}", words.join(", ")),
    )
}

pub(crate) fn needs_cron(option: &str) -> String {
    format!("`{option}` says something of a schedule: add `cron = \"0 2 * * *\"`")
}
