// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Finds floats that are infinite or not a number, which `serde_json` would silently write as `null`.
//!
//! A serialiser that writes nothing: it walks the value as `serde_json` would and stops at the first.

use std::fmt;

use serde::Serialize;
use serde::ser;

/// Why the walk ended early.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A float is infinite or not a number.
    NotFinite,
    /// The value itself refuses to be serialised.
    Refused(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite => formatter.write_str("a float is infinite or not a number"),
            Self::Refused(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::Refused(reason.to_string())
    }
}

/// Walks the value.
///
/// # Errors
/// The first fault.
pub(super) fn check<T: Serialize + ?Sized>(value: &T) -> Result<(), Fault> {
    value.serialize(Walk)
}

#[derive(Clone, Copy)]
struct Walk;

/// Scalars that are always fine.
macro_rules! fine {
    ($($method:ident($scalar:ty))*) => {$(
        fn $method(self, _: $scalar) -> Result<(), Fault> {
            Ok(())
        }
    )*};
}

impl ser::Serializer for Walk {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fine! {
        serialize_bool(bool)
        serialize_i8(i8)
        serialize_i16(i16)
        serialize_i32(i32)
        serialize_i64(i64)
        serialize_i128(i128)
        serialize_u8(u8)
        serialize_u16(u16)
        serialize_u32(u32)
        serialize_u64(u64)
        serialize_u128(u128)
        serialize_char(char)
        serialize_str(&str)
        serialize_bytes(&[u8])
        serialize_unit_struct(&'static str)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fault> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fault> {
        if value.is_finite() {
            Ok(())
        } else {
            Err(Fault::NotFinite)
        }
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Fault> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, Fault> {
        Ok(self)
    }
}

/// Collections whose parts are walked one by one.
macro_rules! parts {
    ($($collection:ident: $method:ident($($key:ty)?);)*) => {$(
        impl ser::$collection for Walk {
            type Ok = ();
            type Error = Fault;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $(_: $key,)?
                part: &T,
            ) -> Result<(), Fault> {
                part.serialize(*self)
            }

            fn end(self) -> Result<(), Fault> {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(&'static str);
    SerializeStructVariant: serialize_field(&'static str);
}

impl ser::SerializeMap for Walk {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        key.serialize(*self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(*self)
    }

    fn end(self) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Reading {
        name: &'static str,
        value: Option<f64>,
        history: Vec<(u8, f32)>,
    }

    #[derive(Serialize)]
    enum Shape {
        Point,
        Circle(f64),
        Line(f64, f64),
        Named { value: Wrapped },
    }

    #[derive(Serialize)]
    #[expect(clippy::option_option, reason = "a nested option is what is tested")]
    struct Wrapped(Option<Option<f64>>);

    fn reading(value: Option<f64>, last: f32) -> Reading {
        Reading {
            name: "NaN",
            value,
            history: vec![(1, 0.5), (2, last)],
        }
    }

    #[test]
    fn finite_values_pass_wherever_they_stand() {
        assert_eq!(check(&reading(Some(f64::MAX), f32::MIN)), Ok(()));
        assert_eq!(check(&reading(None, -0.0)), Ok(()));
        let shapes = [
            Shape::Point,
            Shape::Circle(1.0),
            Shape::Line(0.0, 1.0),
            Shape::Named {
                value: Wrapped(Some(None)),
            },
        ];
        assert_eq!(check(&shapes), Ok(()));
        assert_eq!(check(&(i128::MIN, u128::MAX, 'x', "text", ())), Ok(()));
    }

    #[test]
    fn others_are_found_wherever_they_hide() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let found = Err(Fault::NotFinite);
            assert_eq!(check(&bad), found);
            assert_eq!(check(&reading(Some(bad), 0.0)), found);
            assert_eq!(check(&Shape::Circle(bad)), found);
            assert_eq!(check(&Shape::Line(0.0, bad)), found);
            let value = Wrapped(Some(Some(bad)));
            assert_eq!(check(&Shape::Named { value }), found);
            assert_eq!(check(&BTreeMap::from([("a", vec![1.0, bad])])), found);
        }
        assert_eq!(check(&reading(None, f32::NAN)), Err(Fault::NotFinite));
    }

    #[test]
    fn a_value_that_refuses_keeps_its_reason() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: ser::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(ser::Error::custom("not today"))
            }
        }
        assert_eq!(check(&[Refuses]), Err(Fault::Refused("not today".into())));
    }
}
