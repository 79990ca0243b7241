// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What may be stored: JSON without NUL characters, without floats that are not finite, of bounded
//! size. Checked before a value is batched with those of other runs, so that it harms only itself.

mod finite;

use serde::Serialize;
use serde_json::Value;

use finite::Fault;

/// Begins a sealed text in a column of texts, so that no plain one may begin with it.
pub(crate) const SEALED_TEXT_MARK: char = '\u{1}';

/// A value that cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// A text or a key holds a NUL character, which Postgres' jsonb refuses.
    #[error("a text holds a NUL character at `{pointer}`, which cannot be stored")]
    Nul {
        /// JSON pointer to the text.
        pointer: String,
    },
    /// A float is infinite or not a number.
    #[error("a float is infinite or not a number, which JSON cannot hold")]
    NotFinite,
    /// The value is larger than its limit.
    #[error("the value has {bytes} bytes of JSON, more than the {bytes_max} allowed")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: usize,
    },
    /// The value does not serialise.
    #[error("the value does not serialise: {reason}")]
    Serialise {
        /// What the serialiser says.
        reason: String,
    },
}

/// Serialises a value to JSON.
///
/// # Errors
/// [`PayloadError::NotFinite`] where `serde_json` would silently write `null`, and
/// [`PayloadError::Serialise`] where a value refuses.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, PayloadError> {
    finite::check(value).map_err(|fault| match fault {
        Fault::NotFinite => PayloadError::NotFinite,
        Fault::Refused(reason) => PayloadError::Serialise { reason },
    })?;
    serde_json::to_value(value).map_err(|error| PayloadError::Serialise {
        reason: error.to_string(),
    })
}

/// Checks that a value can be stored, and returns its size in bytes of JSON.
///
/// # Errors
/// [`PayloadError::Nul`] and [`PayloadError::TooLarge`].
pub fn check(value: &Value, bytes_max: usize) -> Result<usize, PayloadError> {
    if let Some(pointer) = nul(value) {
        return Err(PayloadError::Nul { pointer });
    }
    let bytes = size(value);
    if bytes > bytes_max {
        return Err(PayloadError::TooLarge { bytes, bytes_max });
    }
    Ok(bytes)
}

/// The size of a value in bytes of JSON.
pub(crate) fn size(value: &Value) -> usize {
    let mut count = ByteCount(0);
    // Counting cannot fail, and a JSON value always serialises.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// The JSON pointer of the first text or key with a NUL in it.
fn nul(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| nul(item).map(|rest| format!("/{index}{rest}"))),
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            let name = key.replace('~', "~0").replace('/', "~1");
            if key.contains('\0') {
                Some(format!("/{name}"))
            } else {
                nul(item).map(|rest| format!("/{name}{rest}"))
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Counts what is written and keeps nothing.
struct ByteCount(usize);

impl std::io::Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_nul_is_found_wherever_it_hides() {
        assert_eq!(
            check(&json!({"a": ["x", "y\0"]}), 99),
            Err(PayloadError::Nul {
                pointer: "/a/1".into()
            })
        );
        assert_eq!(
            check(&json!({"a": {"b\0": 1}}), 99),
            Err(PayloadError::Nul {
                pointer: "/a/b\0".into()
            })
        );
        assert_eq!(check(&json!({"a": "fine"}), 99), Ok(12));
    }

    #[test]
    fn a_float_that_json_cannot_hold_is_refused_and_not_written_as_null() {
        assert_eq!(to_value(&[1.0, f64::NAN]), Err(PayloadError::NotFinite));
        assert_eq!(to_value(&[1.0, 2.5]), Ok(json!([1.0, 2.5])));
    }

    #[test]
    fn the_size_is_that_of_the_json() {
        assert_eq!(
            check(&json!("12345"), 6),
            Err(PayloadError::TooLarge {
                bytes: 7,
                bytes_max: 6
            })
        );
    }
}
