// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Sealed columns as types of the Postgres driver. A parameter has one type, so the two kinds of
//! column need two: the server takes no `BYTEA` for a `TEXT` column.

use forktex_db::sqlx::encode::IsNull;
use forktex_db::sqlx::error::BoxDynError;
use forktex_db::sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use forktex_db::sqlx::{Decode, Encode, Postgres, Type};

use super::{Bytea, Encrypted, Text};
use crate::token::Token;

impl<T> Type<Postgres> for Encrypted<T, Bytea> {
    fn type_info() -> PgTypeInfo {
        <[u8] as Type<Postgres>>::type_info()
    }

    fn compatible(column: &PgTypeInfo) -> bool {
        <[u8] as Type<Postgres>>::compatible(column)
    }
}

impl<T> PgHasArrayType for Encrypted<T, Bytea> {
    fn array_type_info() -> PgTypeInfo {
        <Vec<u8> as PgHasArrayType>::array_type_info()
    }
}

impl<T> Encode<'_, Postgres> for Encrypted<T, Bytea> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.token.to_bytes(), buffer)
    }
}

impl<'row, T> Decode<'row, Postgres> for Encrypted<T, Bytea> {
    fn decode(value: PgValueRef<'row>) -> Result<Self, BoxDynError> {
        let bytes = <&[u8] as Decode<Postgres>>::decode(value)?;
        Ok(Self::from_token(Token::from_bytes(bytes)?))
    }
}

impl<T> Type<Postgres> for Encrypted<T, Text> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(column: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(column)
    }
}

impl<T> PgHasArrayType for Encrypted<T, Text> {
    fn array_type_info() -> PgTypeInfo {
        <String as PgHasArrayType>::array_type_info()
    }
}

impl<T> Encode<'_, Postgres> for Encrypted<T, Text> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.token.to_string(), buffer)
    }
}

impl<'row, T> Decode<'row, Postgres> for Encrypted<T, Text> {
    fn decode(value: PgValueRef<'row>) -> Result<Self, BoxDynError> {
        let text = <&str as Decode<Postgres>>::decode(value)?;
        Ok(Self::from_token(text.parse()?))
    }
}
