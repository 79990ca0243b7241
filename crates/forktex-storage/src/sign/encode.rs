// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Texts as the services write them: percent-encoding, JSON strings and times.
//!
//! All of it agrees byte for byte with what the vendors' Python libraries print, since a signature
//! covers the text and not its meaning.

use time::{OffsetDateTime, UtcOffset};

const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";
const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";

/// Percent-encodes a path: RFC 3986's unreserved characters and `/` stay, every other byte becomes
/// `%XX` with upper-case digits.
pub fn encode_path(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    push_encoded(&mut out, text, true);
    out
}

/// Percent-encodes a name or value of a query: like [`encode_path`], but `/` is encoded too.
pub fn encode_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    push_encoded(&mut out, text, false);
    out
}

fn push_encoded(out: &mut String, text: &str, keep_slash: bool) {
    for byte in text.bytes() {
        let kept = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || (keep_slash && byte == b'/');
        if kept {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(hex_digit(HEX_UPPER, byte >> 4));
            out.push(hex_digit(HEX_UPPER, byte & 0x0f));
        }
    }
}

fn hex_digit(digits: &[u8; 16], nibble: u8) -> char {
    char::from(digits[usize::from(nibble & 0x0f)])
}

/// Undoes percent-encoding. `None` where a `%` is not followed by two hex digits, or where the
/// bytes are no UTF-8. A `+` stays a `+`.
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Joins encoded pairs as `a=b&c=d`, in their order.
pub(crate) fn join_pairs<'a>(pairs: impl IntoIterator<Item = &'a (String, String)>) -> String {
    let mut out = String::with_capacity(512);
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        out.push_str(value);
    }
    out
}

/// Writes a JSON string as Python does: ASCII only, everything outside ` `..`~` as an escape.
pub(crate) fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str("\\u");
                    for byte in unit.to_be_bytes() {
                        out.push(hex_digit(HEX_LOWER, byte >> 4));
                        out.push(hex_digit(HEX_LOWER, byte & 0x0f));
                    }
                }
            }
        }
    }
    out.push('"');
}

/// `20130524`, in UTC.
pub(crate) fn date(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    format!(
        "{:04}{:02}{:02}",
        time.year(),
        u8::from(time.month()),
        time.day()
    )
}

/// `20130524T000000Z`, in UTC.
pub(crate) fn timestamp(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// `2013-05-24T00:00:00Z`, in UTC.
pub(crate) fn timestamp_extended(time: OffsetDateTime) -> String {
    let time = time.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreserved_characters_stay_and_all_others_are_encoded() {
        assert_eq!(encode_path("a/b~-._Z9"), "a/b~-._Z9");
        assert_eq!(encode_path("a b+c%é"), "a%20b%2Bc%25%C3%A9");
        assert_eq!(encode_query("a/b=c&d"), "a%2Fb%3Dc%26d");
    }

    #[test]
    fn decoding_undoes_encoding_and_refuses_half_escapes() {
        for text in ["", "a b+c%é/~", "100 %", "\u{1F680}"] {
            assert_eq!(decode(&encode_query(text)).as_deref(), Some(text));
        }
        for text in ["%", "%4", "%zz", "%ff", "a%+1"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn json_strings_are_ascii_with_surrogate_pairs() {
        let mut out = String::new();
        push_json(&mut out, "a\"\\\n\u{1}\u{7f}é\u{1F680}");
        assert_eq!(out, r#""a\"\\\n\u0001\u007f\u00e9\ud83d\ude80""#);
    }
}
