// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! `Content-Disposition`: under which name a browser saves an object, or that it shows it.
//!
//! A name comes from whoever uploaded the file. Nothing of it may end the header, leave the folder that
//! the browser saves to, or look like another ending than it has.

use std::fmt::Write;

/// The most bytes of a name: what file systems take.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// The most bytes of an ending that is kept when a name is cut.
const ENDING_BYTES_MAX: usize = 20;

/// The name of a file whose own name has nothing that can be kept.
const NAMELESS: &str = "download";

/// The header that makes a browser save the object as `name`.
pub(crate) fn attachment(name: &str) -> String {
    disposition("attachment", name)
}

/// The header that lets a browser show the object, and save it as `name` where it is asked to.
pub(crate) fn inline(name: &str) -> String {
    disposition("inline", name)
}

fn disposition(kind: &str, name: &str) -> String {
    let name = safe_name(name);
    let fallback: String = name
        .chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .collect();
    let mut header = format!("{kind}; filename=\"{fallback}\"");
    // Some browsers decode `%41` in the quoted name. The second form says what is meant.
    if fallback != name || name.contains('%') {
        header.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if is_plain(byte) {
                header.push(char::from(byte));
            } else {
                let _ = write!(header, "%{byte:02X}");
            }
        }
    }
    header
}

/// The characters that an extended value of RFC 8187 has as they are.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

/// The name without what is dangerous in it, at most [`NAME_BYTES_MAX`] bytes.
fn safe_name(name: &str) -> String {
    let replaced: String = name
        .chars()
        .map(|c| if is_dangerous(c) { '_' } else { c })
        .collect();
    // Windows drops dots and spaces at the end, and a dot in front hides the file elsewhere.
    let trimmed = replaced
        .trim_start_matches(|c: char| c == '.' || c.is_whitespace())
        .trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if trimmed.is_empty() {
        return NAMELESS.to_owned();
    }
    cut(trimmed)
}

/// Cuts the name in its middle, so that its ending stays.
fn cut(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let ending = name
        .rfind('.')
        .map(|dot| &name[dot..])
        .filter(|ending| ending.len() <= ENDING_BYTES_MAX)
        .unwrap_or_default();
    let stem_end = name.floor_char_boundary(NAME_BYTES_MAX - ending.len());
    format!("{}{ending}", &name[..stem_end])
}

/// Control characters end headers, quotes and backslashes end the quoted name, separators leave the
/// folder, and marks of writing direction show `exe.txt` where `txt.exe` is.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '"' | '\\' | '/' | ':' | '*' | '?' | '<' | '>' | '|')
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        assert_eq!(
            attachment("report 2026.pdf"),
            "attachment; filename=\"report 2026.pdf\""
        );
        assert_eq!(inline("a.png"), "inline; filename=\"a.png\"");
    }

    #[test]
    fn names_in_unicode_have_both_forms() {
        assert_eq!(
            attachment("Übersicht €.pdf"),
            "attachment; filename=\"_bersicht _.pdf\"; filename*=UTF-8''%C3%9Cbersicht%20%E2%82%AC.pdf"
        );
        assert_eq!(
            attachment("日本.txt"),
            "attachment; filename=\"__.txt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.txt"
        );
    }

    #[test]
    fn a_percent_sign_is_told_apart_from_an_escape() {
        assert_eq!(
            attachment("100%41.txt"),
            "attachment; filename=\"100%41.txt\"; filename*=UTF-8''100%2541.txt"
        );
    }

    #[test]
    fn nothing_in_a_name_ends_the_header_or_leaves_the_folder() {
        for name in [
            "a\r\nSet-Cookie: x=y",
            "a\"; filename=\"b.exe",
            "..\\..\\windows\\system.ini",
            "../../etc/passwd",
            "/etc/passwd",
            "C:\\a.txt",
            "a\0b",
            "a\u{7f}b",
            "a\u{202e}txt.exe",
            "\u{85}next",
        ] {
            for header in [attachment(name), inline(name)] {
                assert!(header.is_ascii(), "{header}");
                assert!(!header.chars().any(|c| c.is_ascii_control()), "{header}");
                assert_eq!(header.matches('"').count(), 2, "{header}");
                assert!(!header.contains(['/', '\\']), "{header}");
                assert!(!header.contains("%E2%80%AE"), "{header}");
            }
        }
    }

    #[test]
    fn names_that_have_nothing_to_keep_get_one() {
        for name in ["", ".", "..", "   ", " . . "] {
            assert_eq!(
                attachment(name),
                "attachment; filename=\"download\"",
                "{name:?}"
            );
        }
    }

    #[test]
    fn long_names_are_cut_in_the_stem_and_never_inside_a_character() {
        let name = format!("{}.pdf", "ü".repeat(400));
        let safe = safe_name(&name);
        assert!(safe.len() <= NAME_BYTES_MAX, "{}", safe.len());
        assert!(safe.ends_with("ü.pdf"));
        let without_ending = safe_name(&"x".repeat(1_000));
        assert_eq!(without_ending.len(), NAME_BYTES_MAX);
    }
}
