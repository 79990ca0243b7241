// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Values from and to JSON, as filters are written.

use serde_json::Value as Json;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time};
use uuid::Uuid;

use super::{Value, ValueKind};

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const TIME: &[BorrowedFormatItem<'_>] = format_description!(
    version = 2,
    "[hour]:[minute][optional [:[second][optional [.[subsecond]]]]]"
);
const LOCAL: &[BorrowedFormatItem<'_>] = format_description!(
    version = 2,
    "[year]-[month]-[day][first [T][ ]][hour]:[minute][optional [:[second][optional [.[subsecond]]]]]"
);

impl Value {
    /// Reads a JSON value as one of `kind`; none when it is not one. JSON's null is NULL.
    pub fn from_json(kind: ValueKind, json: &Json) -> Option<Self> {
        if json.is_null() {
            return Some(Self::Null);
        }
        Some(match kind {
            ValueKind::Boolean => Self::Boolean(json.as_bool()?),
            ValueKind::Integer => Self::Integer(json.as_i64()?),
            ValueKind::Float => Self::Float(json.as_f64()?),
            ValueKind::Text => Self::Text(json.as_str()?.to_owned()),
            // Bytes have no agreed form in JSON.
            ValueKind::Bytes => return None,
            ValueKind::Uuid => Self::Uuid(Uuid::try_parse(json.as_str()?).ok()?),
            ValueKind::Date => Self::Date(Date::parse(json.as_str()?, DATE).ok()?),
            ValueKind::Time => Self::Time(Time::parse(json.as_str()?, TIME).ok()?),
            ValueKind::LocalTimestamp => {
                Self::LocalTimestamp(PrimitiveDateTime::parse(json.as_str()?, LOCAL).ok()?)
            }
            ValueKind::Timestamp => {
                Self::Timestamp(OffsetDateTime::parse(json.as_str()?, &Rfc3339).ok()?)
            }
            ValueKind::Json => Self::Json(json.clone()),
        })
    }

    /// Reads a JSON value by what it looks like, where no column says what it should be: numbers
    /// without a fraction are integers, and strings are texts.
    pub fn infer_from_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Boolean(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Self::Integer(value),
                (None, Some(value)) => Self::Float(value),
                (None, None) => Self::Json(json.clone()),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(_) | Json::Object(_) => Self::Json(json.clone()),
        }
    }

    /// The value as one of `kind`: itself, an integer as a float, or a text that reads as one; none
    /// when it is not one.
    pub(crate) fn coerce(&self, kind: ValueKind) -> Option<Self> {
        match self {
            same if same.kind() == Some(kind) => Some(same.clone()),
            // A text is a valid JSON document only where the column holds JSON.
            other => Self::from_json(kind, &other.to_json()),
        }
    }

    /// The value as JSON, in the form that [`from_json`](Self::from_json) reads; bytes as hexadecimal
    /// digits, and a float that is not finite as a string.
    pub fn to_json(&self) -> Json {
        fn text<E>(formatted: Result<String, E>) -> Json {
            // A date beyond the year 9999 has no form in RFC 3339.
            formatted.map_or(Json::Null, Json::String)
        }
        match self {
            Self::Null => Json::Null,
            Self::Boolean(value) => Json::Bool(*value),
            Self::Integer(value) => Json::from(*value),
            Self::Float(value) if value.is_finite() => Json::from(*value),
            Self::Float(value) => Json::String(value.to_string()),
            Self::Text(value) => Json::String(value.clone()),
            Self::Bytes(value) => Json::String(hexadecimal(value)),
            Self::Uuid(value) => Json::String(value.to_string()),
            Self::Date(value) => text(value.format(DATE)),
            Self::Time(value) => text(value.format(TIME)),
            Self::LocalTimestamp(value) => text(value.format(LOCAL)),
            Self::Timestamp(value) => text(value.format(&Rfc3339)),
            Self::Json(value) => value.clone(),
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

macro_rules! from {
    ($($type:ty => $kind:ident;)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$kind(value.into())
            }
        }
    )*};
}

from! {
    bool => Boolean;
    i16 => Integer;
    i32 => Integer;
    i64 => Integer;
    f32 => Float;
    f64 => Float;
    String => Text;
    Vec<u8> => Bytes;
    Uuid => Uuid;
    Date => Date;
    Time => Time;
    PrimitiveDateTime => LocalTimestamp;
    OffsetDateTime => Timestamp;
    Json => Json;
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_as_json_is_read_back() {
        for (kind, json) in [
            (ValueKind::Boolean, json!(true)),
            (ValueKind::Integer, json!(i64::MIN)),
            (ValueKind::Float, json!(0.1)),
            (ValueKind::Text, json!("a")),
            (
                ValueKind::Uuid,
                json!("0198c0de-0000-7000-8000-000000000001"),
            ),
            (ValueKind::Date, json!("2026-01-31")),
            (ValueKind::Time, json!("13:45:00.25")),
            (ValueKind::LocalTimestamp, json!("2026-01-31T13:45:00.5")),
            (ValueKind::Timestamp, json!("2026-01-31T13:45:00.5Z")),
            (ValueKind::Json, json!({"a": [1]})),
            (ValueKind::Text, Json::Null),
        ] {
            let value = Value::from_json(kind, &json).unwrap();
            assert_eq!(value.to_json(), json, "{kind:?}");
        }
    }

    #[test]
    fn times_may_leave_out_what_is_zero() {
        let time = Value::from_json(ValueKind::Time, &json!("13:45")).unwrap();
        assert_eq!(time.to_json(), json!("13:45:00.0"));
        let local = Value::from_json(ValueKind::LocalTimestamp, &json!("2026-01-31 13:45"));
        assert!(local.is_some());
    }

    #[test]
    fn what_is_of_another_kind_is_not_read() {
        for (kind, json) in [
            (ValueKind::Boolean, json!(1)),
            (ValueKind::Integer, json!(1.5)),
            (ValueKind::Integer, json!(u64::MAX)),
            (ValueKind::Integer, json!("1")),
            (ValueKind::Uuid, json!("x")),
            (ValueKind::Date, json!("2026-02-30")),
            (ValueKind::Timestamp, json!("2026-01-31T13:45:00")),
            (ValueKind::Bytes, json!("00")),
        ] {
            assert!(Value::from_json(kind, &json).is_none(), "{kind:?} {json}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", Value::Text("s3cret".into())), "Text(..)");
    }
}
