// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What an object is, by its beginning and its name.
//!
//! Markup is looked for first, since that is what a browser would run: HTML, SVG and XML behind a byte
//! order mark, white space, comments and an XML declaration, in UTF-8 and UTF-16.

use std::borrow::Cow;

/// How many of an object's first bytes are looked at.
pub(crate) const FIRST_BYTES_MAX: usize = 512;

const HTML: &str = "text/html";
const XHTML: &str = "application/xhtml+xml";
const SVG: &str = "image/svg+xml";
const XML: &str = "application/xml";
const ARCHIVED_PAGE: &str = "message/rfc822";

/// The elements that make a browser take text for a page.
const PAGE_ELEMENTS: [&[u8]; 36] = [
    b"html",
    b"head",
    b"script",
    b"iframe",
    b"h1",
    b"div",
    b"font",
    b"table",
    b"a",
    b"style",
    b"title",
    b"b",
    b"body",
    b"br",
    b"p",
    b"meta",
    b"link",
    b"base",
    b"img",
    b"object",
    b"embed",
    b"form",
    b"input",
    b"button",
    b"span",
    b"center",
    b"frameset",
    b"template",
    b"math",
    b"video",
    b"audio",
    b"ul",
    b"ol",
    b"marquee",
    b"noscript",
    b"details",
];

/// Types that are text themselves: other signatures are too short to be believed on text.
const TEXTUAL: [&str; 4] = [
    "application/pdf",
    "application/postscript",
    "application/rtf",
    "text/rtf",
];

pub(super) fn sniff(bytes: &[u8], name: &str) -> Option<&'static str> {
    let bytes = bytes.get(..FIRST_BYTES_MAX).unwrap_or(bytes);
    let by_name = mime_guess::from_path(name).first_raw();
    let by_bytes = markup(bytes).or_else(|| signature(bytes));
    match (by_bytes, by_name) {
        (Some(found), Some(named)) if is_refined_by(found, named) => Some(named),
        (found, named) => found.or(named),
    }
}

/// What the file's signature says.
fn signature(bytes: &[u8]) -> Option<&'static str> {
    let found = infer::get(bytes)?.mime_type();
    // A note that begins with `BM` is no bitmap, nor one that begins with `MZ` a program.
    if is_text(bytes) && !found.starts_with("text/") && !TEXTUAL.contains(&found) {
        return None;
    }
    Some(found)
}

/// Whether the bytes only tell the container, and the name says what is in it.
fn is_refined_by(found: &str, named: &str) -> bool {
    match found {
        "application/zip" => {
            named.starts_with("application/vnd.openxmlformats-")
                || named.starts_with("application/vnd.oasis.opendocument.")
                || named.starts_with("application/vnd.ms-")
                || named.ends_with("+zip")
                || [
                    "application/java-archive",
                    "application/vnd.android.package-archive",
                ]
                .contains(&named)
        }
        "application/x-ole-storage" => {
            named == "application/msword"
                || named == "application/vnd.visio"
                || named.starts_with("application/vnd.ms-")
        }
        "text/x-shellscript" => true,
        XML => named.ends_with("+xml"),
        _ => false,
    }
}

/// Whether all bytes are text: UTF-8, perhaps cut in a character, without control characters.
fn is_text(bytes: &[u8]) -> bool {
    let whole = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    whole
        && !bytes
            .iter()
            .any(|byte| matches!(byte, 0..=8 | 11 | 14..=26 | 28..=31 | 127))
}

/// Which markup the bytes begin with.
fn markup(bytes: &[u8]) -> Option<&'static str> {
    let text = without_mark(bytes);
    let mut rest = trimmed(&text);
    if begins(rest, b"mime-version:") || begins(rest, b"from: <saved by ") {
        return Some(ARCHIVED_PAGE);
    }
    let mut declared = false;
    // Each round takes at least two of the 512 bytes away, so the loop ends.
    while rest.first() == Some(&b'<') {
        if begins(rest, b"<!--") {
            match after(rest, b"-->") {
                Some(next) => rest = trimmed(next),
                None => return Some(if declared { XML } else { HTML }),
            }
        } else if begins(rest, b"<?xml") || (declared && begins(rest, b"<?")) {
            declared = true;
            match after(rest, b"?>") {
                Some(next) => rest = trimmed(next),
                None => return Some(XML),
            }
        } else if begins(rest, b"<!doctype") {
            let root = element(trimmed(rest.get(9..).unwrap_or_default()));
            return by_root(&root, declared, true);
        } else {
            let root = element(rest.get(1..).unwrap_or_default());
            return by_root(&root, declared, false);
        }
    }
    declared.then_some(XML)
}

/// What a document with this root is, where `declared` says that it began as XML.
fn by_root(root: &[u8], declared: bool, is_doctype: bool) -> Option<&'static str> {
    let local = root.rsplit(|byte| *byte == b':').next().unwrap_or(root);
    match local {
        b"svg" => Some(SVG),
        b"html" if declared => Some(XHTML),
        _ if declared => Some(XML),
        b"html" => Some(HTML),
        _ if !is_doctype && PAGE_ELEMENTS.contains(&root) => Some(HTML),
        _ => None,
    }
}

/// The name that the text begins with, in lower case. Empty where it is not ended as a name is, or not at
/// all.
fn element(text: &[u8]) -> Vec<u8> {
    let end = text
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || b":-_.".contains(byte)))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.first() {
        None | Some(b'>' | b'/' | b' ' | b'\t' | b'\n' | b'\r' | 12 | b'[') => {
            name.to_ascii_lowercase()
        }
        Some(_) => Vec::new(),
    }
}

/// The text without its byte order mark. UTF-16 becomes readable when its zeros go.
fn without_mark(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(rest),
        [0xFE, 0xFF, rest @ ..] | [0xFF, 0xFE, rest @ ..] => without_zeros(rest),
        [b'<', 0, ..] | [0, b'<', ..] => without_zeros(bytes),
        _ => Cow::Borrowed(bytes),
    }
}

fn without_zeros(bytes: &[u8]) -> Cow<'_, [u8]> {
    Cow::Owned(bytes.iter().copied().filter(|byte| *byte != 0).collect())
}

fn trimmed(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 12))
        .unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

fn begins(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    text.windows(mark.len())
        .position(|window| window == mark)
        .and_then(|at| text.get(at + mark.len()..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: impl AsRef<[u8]>, name: &str) -> &'static str {
        sniff(bytes.as_ref(), name).unwrap_or("unknown")
    }

    #[test]
    fn markup_is_found_behind_all_that_a_browser_skips() {
        for (text, expected) in [
            ("<!DOCTYPE html><p>", HTML),
            ("<!doctype HTML PUBLIC \"-//W3C//DTD\">", HTML),
            ("  \r\n\t<HtMl lang=de>", HTML),
            ("\u{feff}<html>", HTML),
            ("<!-- hello --><body>", HTML),
            ("<!-- never closed", HTML),
            ("<script>alert(1)</script>", HTML),
            ("<IFRAME src=x>", HTML),
            ("<img/onerror=x>", HTML),
            ("<b>bold</b>", HTML),
            ("<svg onload=alert(1)>", SVG),
            ("\n<!-- x --><svg xmlns='http://www.w3.org/2000/svg'/>", SVG),
            ("<!DOCTYPE svg PUBLIC \"x\">", SVG),
            ("<?xml version='1.0'?><svg:svg xmlns:svg='x'>", SVG),
            (
                "<?xml version=\"1.0\"?>\n<?xml-stylesheet href='x'?><!-- y --><svg>",
                SVG,
            ),
            ("<?xml version=\"1.0\"?><html xmlns=\"x\">", XHTML),
            ("<?xml version=\"1.0\"?><feed>", XML),
            ("<?xml version=\"1.0\"", XML),
            ("MIME-Version: 1.0\r\n", ARCHIVED_PAGE),
        ] {
            assert_eq!(found(text, "cat.png"), expected, "{text}");
        }
    }

    #[test]
    fn markup_is_found_in_utf_16() {
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
            assert_eq!(found(bytes("\u{feff}<html>"), "a.png"), HTML);
            assert_eq!(found(bytes("\u{feff} <svg >"), "a.png"), SVG);
            assert_eq!(found(bytes("<?xml version='1.0'?><a/>"), "a.png"), XML);
        }
    }

    #[test]
    fn text_that_only_looks_like_markup_is_named_by_its_name() {
        for text in [
            "< html",
            "<3 you",
            "a <b>",
            "<?php echo 1;",
            "<bx>",
            "<!DOCTYPE book>",
        ] {
            assert_eq!(found(text, "a.txt"), "text/plain", "{text}");
        }
    }

    #[test]
    fn signatures_win_over_names() {
        let mut tar = vec![0_u8; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let samples: [(&[u8], &str); 15] = [
            (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
            (b"GIF89a\x01\0\x01\0\x80", "image/gif"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"BM\x36\0\x0c\0\0\0\0\0", "image/bmp"),
            (b"II*\0\x08\0\0\0\0\0\0\0", "image/tiff"),
            (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "application/pdf"),
            (b"PK\x03\x04\x14\0\0\0\x08\0\0\0", "application/zip"),
            (b"\x1f\x8b\x08\0\0\0\0\0", "application/gzip"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "application/x-7z-compressed"),
            (b"OggS\0\x02\0\0\0\0\0", "audio/ogg"),
            (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
            (b"fLaC\0\0\0\x22", "audio/x-flac"),
            (b"\0asm\x01\0\0\0", "application/wasm"),
            (&tar, "application/x-tar"),
        ];
        for (bytes, expected) in samples {
            assert_eq!(found(bytes, "lies.txt"), expected, "{expected}");
        }
    }

    #[test]
    fn names_say_what_a_container_holds_but_not_that_it_is_none() {
        let zip = b"PK\x03\x04\x14\0\0\0\x08\0\0\0";
        assert_eq!(
            found(zip, "a.docx"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        );
        assert_eq!(
            found(zip, "a.odt"),
            "application/vnd.oasis.opendocument.text"
        );
        assert_eq!(found(zip, "a.png"), "application/zip");
        assert_eq!(
            found("<?xml version='1.0'?><rss>", "feed.rss"),
            "application/rss+xml"
        );
    }

    #[test]
    fn short_signatures_are_not_believed_on_text() {
        assert_eq!(
            found("BM is short for bowel movement", "a.txt"),
            "text/plain"
        );
        assert_eq!(found("MZ said so", "a.md"), "text/markdown");
        assert_eq!(found("BZhang wrote", "notes"), "unknown");
    }

    #[test]
    fn names_decide_where_bytes_do_not() {
        for (name, expected) in [
            ("a.csv", "text/csv"),
            ("A.JSON", "application/json"),
            ("x.html", HTML),
            ("x.js", "text/javascript"),
            ("x.svg", SVG),
            ("x.mhtml", ARCHIVED_PAGE),
            ("noending", "unknown"),
            ("", "unknown"),
            ("x.nosuchending", "unknown"),
        ] {
            assert_eq!(found("a,b", name), expected, "{name}");
            assert_eq!(found("", name), expected, "{name}");
        }
    }

    #[test]
    fn only_the_beginning_is_looked_at() {
        let late = format!("{}<html>", " ".repeat(FIRST_BYTES_MAX));
        assert_eq!(found(late, "a.txt"), "text/plain");
    }

    #[test]
    fn no_beginning_is_too_short() {
        let page = b"\xef\xbb\xbf <?xml version='1.0'?><!-- a --><svg a='b'>";
        for end in 0..page.len() {
            let _ = sniff(&page[..end], "a.bin");
        }
    }
}
