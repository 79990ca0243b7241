// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Keys, made of a namespace and of parts that cannot run into each other.
//!
//! A part is escaped byte by byte, so that no colon, brace, wildcard or space of it reaches the key.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use uuid::Uuid;

use crate::error::KeyError;
use crate::namespace::Namespace;

/// The most bytes of one part, escaped.
pub(crate) const PART_BYTES_MAX: usize = 512;
/// The most bytes of a key, without the prefix of the cache.
pub(crate) const KEY_BYTES_MAX: usize = 2048;

/// A key: `namespace:part:part`, without the prefix of the cache, which puts that in front by itself.
///
/// Made by [`Namespace::key`]. Equal keys have equal texts: everything but letters, digits and `_.~@-`
/// stands as `%XX`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    text: String,
    namespace: Namespace,
}

impl Key {
    pub(crate) fn make(namespace: &Namespace, parts: &impl KeyParts) -> Result<Self, KeyError> {
        namespace.check()?;
        let mut writer = KeyWriter {
            // Enough for the names and ids of most keys.
            text: String::with_capacity(namespace.name().len() + 48),
            namespace,
            index: 0,
        };
        // Writing to a string does not fail.
        let _ = write!(writer.text, "{namespace}");
        parts.write_parts(&mut writer)?;
        let bytes = writer.text.len();
        if bytes > KEY_BYTES_MAX {
            return Err(KeyError::TooLong {
                namespace: namespace.to_string(),
                bytes,
                max: KEY_BYTES_MAX,
            });
        }
        Ok(Self {
            text: writer.text,
            namespace: namespace.clone(),
        })
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The namespace that it was made in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.text).finish()
    }
}

/// Collects the parts of a key.
#[derive(Debug)]
pub struct KeyWriter<'a> {
    text: String,
    namespace: &'a Namespace,
    index: usize,
}

impl KeyWriter<'_> {
    /// Adds a part.
    ///
    /// # Errors
    /// [`KeyError::Empty`] for an empty text, [`KeyError::PartTooLong`] above 512 bytes.
    pub fn part(&mut self, text: &str) -> Result<(), KeyError> {
        let index = self.next_index();
        if text.is_empty() {
            return Err(KeyError::Empty {
                namespace: self.namespace.to_string(),
                index,
            });
        }
        self.text.push(':');
        let start = self.text.len();
        escape(text, &mut self.text);
        let bytes = self.text.len() - start;
        if bytes > PART_BYTES_MAX {
            return Err(KeyError::PartTooLong {
                namespace: self.namespace.to_string(),
                index,
                bytes,
                max: PART_BYTES_MAX,
            });
        }
        Ok(())
    }

    /// Refuses the key, since this part of it is absent.
    ///
    /// # Errors
    /// Always [`KeyError::Missing`].
    pub fn missing(&mut self) -> Result<(), KeyError> {
        Err(KeyError::Missing {
            namespace: self.namespace.to_string(),
            index: self.next_index(),
        })
    }

    /// A number: nothing in it needs to be escaped.
    fn number(&mut self, number: impl fmt::Display) {
        self.next_index();
        // Writing to a string does not fail.
        let _ = write!(self.text, ":{number}");
    }

    fn next_index(&mut self) -> usize {
        let index = self.index;
        self.index += 1;
        index
    }
}

/// A value that can be a part of a key: a text, an integer, a `bool`, a `char`, a [`Uuid`], an `Option`
/// of one (of which `None` is refused), or a reference to one.
///
/// Implement it for an identifier of your own by handing on to what is in it.
///
/// # Examples
/// ```
/// use forktex_cache::{KeyError, KeyPart, KeyWriter, Namespace};
///
/// struct UserId(u64);
///
/// impl KeyPart for UserId {
///     fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
///         self.0.write_to(writer)
///     }
/// }
///
/// assert_eq!(Namespace::new("user").key(UserId(7))?.as_str(), "user:7");
/// # Ok::<(), KeyError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a key",
    note = "give an identifier of it: a text, an integer or a `Uuid`; or implement `forktex_cache::KeyPart`"
)]
pub trait KeyPart {
    /// Writes the part, in one call to `writer`.
    ///
    /// # Errors
    /// Those of [`KeyWriter::part`] and [`KeyWriter::missing`].
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError>;
}

/// The parts of a key: one [`KeyPart`], or a tuple of up to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the parts of a key",
    note = "give one text, integer or `Uuid`, or a tuple of up to eight of them"
)]
pub trait KeyParts {
    /// Writes the parts in order.
    ///
    /// # Errors
    /// Those of [`KeyPart::write_to`].
    fn write_parts(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError>;
}

impl<P: KeyPart> KeyParts for P {
    fn write_parts(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        self.write_to(writer)
    }
}

macro_rules! tuples {
    ($(($($part:ident)+))+) => {$(
        impl<$($part: KeyPart),+> KeyParts for ($($part,)+) {
            #[allow(
                non_snake_case,
                clippy::many_single_char_names,
                reason = "the parts are named as their types"
            )]
            fn write_parts(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
                let ($($part,)+) = self;
                $($part.write_to(writer)?;)+
                Ok(())
            }
        }
    )+};
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
    (A B C D E F G)
    (A B C D E F G H)
}

macro_rules! numbers {
    ($($number:ty)+) => {$(
        impl KeyPart for $number {
            fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
                writer.number(self);
                Ok(())
            }
        }
    )+};
}

numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize bool Uuid);

impl KeyPart for str {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        writer.part(self)
    }
}

impl KeyPart for String {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        writer.part(self)
    }
}

impl KeyPart for Cow<'_, str> {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        writer.part(self)
    }
}

impl KeyPart for char {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        writer.part(self.encode_utf8(&mut [0; 4]))
    }
}

impl<P: KeyPart> KeyPart for Option<P> {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        match self {
            Some(part) => part.write_to(writer),
            None => writer.missing(),
        }
    }
}

impl<P: KeyPart + ?Sized> KeyPart for &P {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        (**self).write_to(writer)
    }
}

impl<P: KeyPart + ?Sized> KeyPart for Arc<P> {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        (**self).write_to(writer)
    }
}

impl<P: KeyPart + ?Sized> KeyPart for Box<P> {
    fn write_to(&self, writer: &mut KeyWriter<'_>) -> Result<(), KeyError> {
        (**self).write_to(writer)
    }
}

/// Writes `text` with everything but letters, digits and `_.~@-` as `%XX` of its bytes.
pub(crate) fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'~' | b'@' | b'-')
        {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Namespace = Namespace::new("user");

    fn text(parts: impl KeyParts) -> String {
        USER.key(parts).unwrap().to_string()
    }

    #[test]
    fn parts_of_all_kinds_are_written_in_order() {
        let id = Uuid::from_u128(7);
        assert_eq!(text("a"), "user:a");
        assert_eq!(
            text(("a", String::from("b"), 3_u8, -4_i64)),
            "user:a:b:3:-4"
        );
        assert_eq!(
            text((true, 'x', Some("y"), &id)),
            format!("user:true:x:y:{id}")
        );
        assert_eq!(text((1, 2, 3, 4, 5, 6, 7, 8)), "user:1:2:3:4:5:6:7:8");
        assert_eq!(
            text((Arc::<str>::from("a"), Cow::Borrowed("b"))),
            "user:a:b"
        );
    }

    #[test]
    fn what_would_end_a_part_or_match_another_is_escaped() {
        assert_eq!(
            text("a:b*{c}%?[d] é"),
            "user:a%3Ab%2A%7Bc%7D%25%3F%5Bd%5D%20%C3%A9"
        );
        assert_eq!(text("A-z_0.9~@"), "user:A-z_0.9~@");
        assert_ne!(text(("a", "b")), text("a:b"));
        assert_ne!(text("a%3Ab"), text("a:b"));
    }

    #[test]
    fn an_empty_or_missing_part_is_named() {
        let error = USER.key(("a", "")).unwrap_err();
        assert!(matches!(error, KeyError::Empty { index: 1, .. }), "{error}");
        let error = USER.key((1, 2, None::<u32>)).unwrap_err();
        assert!(
            matches!(error, KeyError::Missing { index: 2, .. }),
            "{error}"
        );
        let error = USER.key(Some("")).unwrap_err();
        assert!(matches!(error, KeyError::Empty { index: 0, .. }), "{error}");
    }

    #[test]
    fn lengths_are_bounded() {
        let part = "a".repeat(PART_BYTES_MAX);
        assert!(USER.key(&part).is_ok());
        let error = USER.key(("x", "é".repeat(100))).unwrap_err();
        assert!(
            matches!(
                error,
                KeyError::PartTooLong {
                    index: 1,
                    bytes: 600,
                    ..
                }
            ),
            "{error}"
        );
        let error = USER.key((&part, &part, &part, &part)).unwrap_err();
        assert!(matches!(error, KeyError::TooLong { .. }), "{error}");
    }
}
