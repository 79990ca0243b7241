// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Where a page ended, as a text that a client hands back.
//!
//! In Base64 (RFC 4648, for URLs, unpadded): a version byte, 16 bytes that stand for the table, the
//! organisation, the filter and the order, with a key the first 16 bytes of an HMAC-SHA-256 over all
//! the rest, and the values of the last row in the columns of the order, as JSON.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime, Time};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::DbError;
use crate::sort::TotalOrder;
use crate::value::{Value, ValueKind};

/// A longer cursor is refused: no column to sort by holds texts of such a length.
const CURSOR_BYTES_MAX: usize = 16 * 1024;

const PLAIN: u8 = 1;
const SIGNED: u8 = 2;
const FINGERPRINT_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 16;

/// Where a page ended. Opaque: hand it to the client and take it back as it is.
///
/// It holds the values of one row that the client has seen, in the columns of the sort, readable for
/// whoever decodes it. It opens no door: a client that makes one up moves within its own list. Where
/// even that must not be, give the host's secret to
/// [`DbOptions::cursor_key`](crate::DbOptions::cursor_key).
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cursor after a row of a list that a service queries by itself, not through a repository.
    /// `list` stands for the list: all that its rows and their order depend on, such as its filter and
    /// its sort. `values` are those of the row in the columns of the order, the last of which makes the
    /// order total.
    ///
    /// ```
    /// use forktex_db::{Cursor, CursorError, Value, ValueKind};
    ///
    /// let cursor = Cursor::after("orders, newest first", &[Value::Integer(7)])?;
    /// let values = cursor.values("orders, newest first", &[ValueKind::Integer]);
    /// assert_eq!(values, Ok(vec![Value::Integer(7)]));
    /// let other = cursor.values("orders, oldest first", &[ValueKind::Integer]);
    /// assert_eq!(other, Err(CursorError::OfAnotherList));
    /// # Ok::<(), forktex_db::DbError>(())
    /// ```
    ///
    /// # Errors
    /// [`DbError::Invalid`] when a value is too long for a cursor.
    pub fn after(list: &str, values: &[Value]) -> Result<Self, DbError> {
        Self::encode(Fingerprint::of_list(list), values, None)
    }

    /// The values that [`after`](Self::after) was given.
    ///
    /// # Errors
    /// [`CursorError`] when it is not a cursor, or one of another list.
    pub fn values(&self, list: &str, kinds: &[ValueKind]) -> Result<Vec<Value>, CursorError> {
        self.decode(Fingerprint::of_list(list), kinds, None)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes any text; whether it is a cursor of the list is checked when it is used.
impl From<String> for Cursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Cursor {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Cursor {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

/// A cursor that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// No cursor, or one that was cut or changed.
    #[error("the cursor is malformed; begin again without one")]
    Malformed,
    /// The cursor was not signed with the key in use.
    #[error("the cursor was not signed by this service; begin again without one")]
    Forged,
    /// The cursor is one of another list.
    #[error("the cursor belongs to another filter or sort; begin again without one")]
    OfAnotherList,
}

impl From<CursorError> for DbError {
    fn from(error: CursorError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// The secret that signs cursors. Wiped when dropped; never shown.
#[derive(Clone)]
pub(crate) struct CursorKey(Arc<Zeroizing<Vec<u8>>>);

impl CursorKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Arc::new(Zeroizing::new(secret.to_vec())))
    }

    fn mac(&self, head: &[u8], payload: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(head);
        mac.update(payload);
        Some(mac)
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(..)")
    }
}

/// Stands for a list: the table, the scope, the filter and the order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; FINGERPRINT_BYTES]);

impl Fingerprint {
    fn of_list(list: &str) -> Self {
        // Apart from every list of a repository, whose table comes in quotes.
        Self::of(&format!("list {list}"))
    }

    fn of(text: &str) -> Self {
        let digest = Sha256::digest(text);
        let mut bytes = [0; FINGERPRINT_BYTES];
        bytes.copy_from_slice(&digest[..FINGERPRINT_BYTES]);
        Self(bytes)
    }

    pub(crate) fn new(table: &str, scope: &str, filter: &Json, order: &TotalOrder) -> Self {
        let order: Vec<_> = order
            .0
            .iter()
            .map(|key| (key.column.name, key.direction, key.nulls))
            .collect();
        Self::of(&format!("{table:?}{scope:?}{filter}{order:?}"))
    }
}

impl Cursor {
    /// The cursor after a row with these values in the columns of the order.
    pub(crate) fn encode(
        fingerprint: Fingerprint,
        values: &[Value],
        key: Option<&CursorKey>,
    ) -> Result<Self, DbError> {
        let payload = Json::Array(values.iter().map(write).collect()).to_string();
        let mut bytes = vec![if key.is_some() { SIGNED } else { PLAIN }];
        bytes.extend_from_slice(&fingerprint.0);
        if let Some(mac) = key.and_then(|key| key.mac(&bytes, payload.as_bytes())) {
            bytes.extend_from_slice(&mac.finalize().into_bytes()[..SIGNATURE_BYTES]);
        }
        bytes.extend_from_slice(payload.as_bytes());
        let text = URL_SAFE_NO_PAD.encode(bytes);
        if text.len() > CURSOR_BYTES_MAX {
            return Err(DbError::invalid(
                "a value to sort by is too long for a cursor; sort by a shorter column",
            ));
        }
        Ok(Self(text))
    }

    /// The values of the last row, one for each column of the order.
    pub(crate) fn decode(
        &self,
        fingerprint: Fingerprint,
        kinds: &[ValueKind],
        key: Option<&CursorKey>,
    ) -> Result<Vec<Value>, CursorError> {
        if self.0.len() > CURSOR_BYTES_MAX {
            return Err(CursorError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(&self.0)
            .map_err(|_| CursorError::Malformed)?;
        let (head, rest) = bytes
            .split_at_checked(1 + FINGERPRINT_BYTES)
            .ok_or(CursorError::Malformed)?;
        let payload = match (head[0], key) {
            (PLAIN, None) => rest,
            (SIGNED, Some(key)) => {
                let (signature, payload) = rest
                    .split_at_checked(SIGNATURE_BYTES)
                    .ok_or(CursorError::Malformed)?;
                let mac = key.mac(head, payload).ok_or(CursorError::Forged)?;
                mac.verify_truncated_left(signature)
                    .map_err(|_| CursorError::Forged)?;
                payload
            }
            (PLAIN | SIGNED, _) => return Err(CursorError::Forged),
            _ => return Err(CursorError::Malformed),
        };
        if head[1..] != fingerprint.0 {
            return Err(CursorError::OfAnotherList);
        }
        let values: Vec<Json> =
            serde_json::from_slice(payload).map_err(|_| CursorError::Malformed)?;
        if values.len() != kinds.len() {
            return Err(CursorError::Malformed);
        }
        let values = kinds.iter().zip(&values);
        values
            .map(|(kind, json)| read(*kind, json).ok_or(CursorError::Malformed))
            .collect()
    }
}

/// A value as JSON, to the last bit; Postgres counts microseconds.
fn write(value: &Value) -> Json {
    match value {
        Value::Float(value) => Json::from(value.to_bits()),
        Value::Date(value) => Json::from(value.to_julian_day()),
        Value::Time(value) => Json::from(microseconds(*value - Time::MIDNIGHT)),
        Value::LocalTimestamp(value) => Json::from(microseconds(
            value.assume_utc() - OffsetDateTime::UNIX_EPOCH,
        )),
        Value::Timestamp(value) => Json::from(microseconds(*value - OffsetDateTime::UNIX_EPOCH)),
        other => other.to_json(),
    }
}

fn read(kind: ValueKind, json: &Json) -> Option<Value> {
    if json.is_null() {
        return Some(Value::Null);
    }
    Some(match kind {
        ValueKind::Float => Value::Float(f64::from_bits(json.as_u64()?)),
        ValueKind::Date => {
            let day = i32::try_from(json.as_i64()?).ok()?;
            Value::Date(Date::from_julian_day(day).ok()?)
        }
        ValueKind::Time => {
            let since_midnight = timestamp(json)? - OffsetDateTime::UNIX_EPOCH;
            let is_one_day = (Duration::ZERO..Duration::DAY).contains(&since_midnight);
            Value::Time(is_one_day.then(|| Time::MIDNIGHT + since_midnight)?)
        }
        ValueKind::LocalTimestamp => {
            let timestamp = timestamp(json)?;
            Value::LocalTimestamp(PrimitiveDateTime::new(timestamp.date(), timestamp.time()))
        }
        ValueKind::Timestamp => Value::Timestamp(timestamp(json)?),
        ValueKind::Uuid => Value::Uuid(Uuid::try_parse(json.as_str()?).ok()?),
        other => Value::from_json(other, json)?,
    })
}

fn microseconds(duration: Duration) -> i64 {
    // The whole range of Postgres's timestamps fits.
    i64::try_from(duration.whole_microseconds()).unwrap_or(i64::MAX)
}

fn timestamp(json: &Json) -> Option<OffsetDateTime> {
    OffsetDateTime::UNIX_EPOCH.checked_add(Duration::microseconds(json.as_i64()?))
}

/// For fuzzing: reads the bytes as a cursor's text, and as the payload of a cursor whose list is the
/// right one. Whatever they are, there is an answer.
#[doc(hidden)]
pub fn parse_cursor_of_any_kind(bytes: &[u8]) {
    let kinds = [
        ValueKind::Boolean,
        ValueKind::Integer,
        ValueKind::Float,
        ValueKind::Text,
        ValueKind::Uuid,
        ValueKind::Date,
        ValueKind::Time,
        ValueKind::LocalTimestamp,
        ValueKind::Timestamp,
    ];
    let list = Fingerprint([0; FINGERPRINT_BYTES]);
    let key = CursorKey::new(b"fuzz");
    let text = Cursor(String::from_utf8_lossy(bytes).into_owned());
    let _ = text.decode(list, &kinds, None);
    let _ = text.decode(list, &kinds, Some(&key));
    let mut framed = vec![PLAIN];
    framed.extend_from_slice(&list.0);
    framed.extend_from_slice(bytes);
    let framed = Cursor(URL_SAFE_NO_PAD.encode(framed));
    if let Ok(values) = framed.decode(list, &kinds, None) {
        let again = Cursor::encode(list, &values, None);
        let again = again.map(|cursor| cursor.decode(list, &kinds, None));
        debug_assert!(again.is_ok_and(|again| again.is_ok()));
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const LIST: Fingerprint = Fingerprint([7; FINGERPRINT_BYTES]);

    fn values() -> (Vec<ValueKind>, Vec<Value>) {
        let values = vec![
            Value::Boolean(true),
            Value::Integer(i64::MIN),
            Value::Float(0.1 + 0.2),
            Value::Float(f64::NEG_INFINITY),
            Value::Text("ü\0\"".into()),
            Value::Uuid(Uuid::from_u128(7)),
            Value::Date(Date::MIN),
            Value::Time(Time::from_hms_micro(23, 59, 59, 999_999).unwrap()),
            Value::LocalTimestamp(datetime!(1969-12-31 23:59:59.999_999)),
            Value::Timestamp(datetime!(-100-01-01 00:00:00.000_001 UTC)),
        ];
        let kinds = values.iter().filter_map(Value::kind).collect();
        (kinds, values)
    }

    #[test]
    fn values_come_back_to_the_last_bit() {
        let (mut kinds, mut values) = values();
        kinds.push(ValueKind::Text);
        values.push(Value::Null);
        for key in [None, Some(CursorKey::new(b"secret"))] {
            let cursor = Cursor::encode(LIST, &values, key.as_ref()).unwrap();
            let decoded = cursor.decode(LIST, &kinds, key.as_ref());
            assert!(decoded == Ok(values.clone()));
        }
    }

    #[test]
    fn a_cursor_of_another_list_is_refused() {
        let (kinds, values) = values();
        let cursor = Cursor::encode(LIST, &values, None).unwrap();
        let other = Fingerprint([8; FINGERPRINT_BYTES]);
        let refused = cursor.decode(other, &kinds, None);
        assert_eq!(refused, Err(CursorError::OfAnotherList));
    }

    #[test]
    fn a_changed_byte_breaks_the_signature() {
        let (kinds, values) = values();
        let key = CursorKey::new(b"secret");
        let cursor = Cursor::encode(LIST, &values, Some(&key)).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(cursor.as_str()).unwrap();
        for position in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[position] ^= 1;
            let changed = Cursor(URL_SAFE_NO_PAD.encode(changed));
            let refused = changed.decode(LIST, &kinds, Some(&key)).unwrap_err();
            assert!(
                matches!(refused, CursorError::Forged | CursorError::Malformed),
                "byte {position}: {refused:?}"
            );
        }
        let other = CursorKey::new(b"another");
        for key in [None, Some(&other)] {
            assert_eq!(cursor.decode(LIST, &kinds, key), Err(CursorError::Forged));
        }
        let unsigned = Cursor::encode(LIST, &values, None).unwrap();
        assert_eq!(
            unsigned.decode(LIST, &kinds, Some(&key)),
            Err(CursorError::Forged)
        );
    }

    #[test]
    fn a_cut_cursor_is_malformed() {
        let (kinds, values) = values();
        let cursor = Cursor::encode(LIST, &values, None).unwrap();
        for length in 0..cursor.as_str().len() {
            let cut = Cursor::from(&cursor.as_str()[..length]);
            assert_eq!(
                cut.decode(LIST, &kinds, None),
                Err(CursorError::Malformed),
                "{length}"
            );
        }
        let long = Cursor("A".repeat(CURSOR_BYTES_MAX + 1));
        assert_eq!(long.decode(LIST, &[], None), Err(CursorError::Malformed));
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", CursorKey::new(b"s3cret")), "CursorKey(..)");
    }
}
