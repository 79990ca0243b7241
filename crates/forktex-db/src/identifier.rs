// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Names in SQL text: the one place that quotes them, and the one that renames a schema.
//!
//! Values are never put into SQL text; they are bound. Only names, which cannot be bound, come
//! through here.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::error::DbError;

/// The longest name that Postgres keeps; a longer one would be cut silently.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// A checked name of a schema, a table, a column or a role. Its `Display` is the quoted form, ready
/// for SQL text.
///
/// # Examples
/// ```
/// use forktex_db::Identifier;
///
/// let table = Identifier::new("order")?;
/// assert_eq!(format!("SELECT count(*) FROM shop.{table}"), r#"SELECT count(*) FROM shop."order""#);
/// # Ok::<(), forktex_db::DbError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(String);

impl Identifier {
    /// Checks a name. Case is kept, as a quoted name keeps it.
    ///
    /// # Errors
    /// [`DbError::Invalid`] if the name is empty, longer than 63 bytes, or contains a NUL.
    pub fn new(name: impl Into<String>) -> Result<Self, DbError> {
        let name = name.into();
        if name.is_empty() {
            return Err(DbError::invalid("a name in the database cannot be empty"));
        }
        if name.len() > IDENTIFIER_BYTES_MAX {
            return Err(DbError::invalid(format!(
                "the name `{name}` is longer than {IDENTIFIER_BYTES_MAX} bytes; choose a shorter one"
            )));
        }
        if name.contains('\0') {
            return Err(DbError::invalid(
                "a name in the database cannot contain a NUL",
            ));
        }
        Ok(Self(name))
    }

    /// The name without quotes, to be bound as a value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(&self.0).fmt(f)
    }
}

/// A name that was checked before, as a quoted one.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for (n, part) in self.0.split('"').enumerate() {
            if n > 0 {
                f.write_str("\"\"")?;
            }
            f.write_str(part)?;
        }
        f.write_char('"')
    }
}

/// Quotes a name for SQL text: wraps it in double quotes and doubles those inside.
///
/// # Errors
/// [`DbError::Invalid`] if the name is empty, longer than 63 bytes, or contains a NUL.
///
/// # Examples
/// ```
/// assert_eq!(forktex_db::quote_identifier(r#"odd "name""#)?, r#""odd ""name""""#);
/// # Ok::<(), forktex_db::DbError>(())
/// ```
pub fn quote_identifier(name: &str) -> Result<String, DbError> {
    Identifier::new(name).map(|identifier| identifier.to_string())
}

/// Points schema-qualified SQL at another schema: every token `default.` becomes `"schema".`.
///
/// A token is the unquoted default name followed by a dot, where no letter, digit, `_`, `$`, `.` or
/// `"` stands before it. That holds inside string literals and comments too, so
/// `'app.order'::regclass` follows the rename. Nothing else is touched: not `"app".order`, not
/// `SET search_path = app`. The text is returned as it is when the two names are equal.
///
/// Rename once, when a store is built, and keep the result: the search path is no substitute, since a
/// connection pooler hands the same server connection to others.
///
/// # Errors
/// [`DbError::Invalid`] if `schema` is empty, longer than 63 bytes, or has a character other than a
/// letter, a digit, `_` or `-`: a quote would end the literals that the name may land in.
///
/// # Examples
/// ```
/// use forktex_db::rename_schema;
///
/// let sql = "SELECT id FROM app.order WHERE myapp.x = 1";
/// assert_eq!(
///     rename_schema(sql, "app", "tenant-7")?,
///     r#"SELECT id FROM "tenant-7".order WHERE myapp.x = 1"#,
/// );
/// # Ok::<(), forktex_db::DbError>(())
/// ```
pub fn rename_schema<'a>(
    sql: &'a str,
    default: &str,
    schema: &str,
) -> Result<Cow<'a, str>, DbError> {
    let quoted = schema_identifier(schema)?.to_string();
    if default.is_empty() || default == schema {
        return Ok(Cow::Borrowed(sql));
    }

    let mut renamed = String::with_capacity(sql.len() + 64);
    let mut copied = 0;
    for (start, _) in sql.match_indices(default) {
        let end = start + default.len();
        let starts_token = !sql[..start]
            .chars()
            .next_back()
            .is_some_and(continues_a_name);
        if starts_token && sql[end..].starts_with('.') && start >= copied {
            renamed.push_str(&sql[copied..start]);
            renamed.push_str(&quoted);
            copied = end;
        }
    }
    renamed.push_str(&sql[copied..]);
    Ok(Cow::Owned(renamed))
}

/// Checks the name of a schema that [`rename_schema`] can put anywhere.
pub(crate) fn schema_identifier(schema: &str) -> Result<Identifier, DbError> {
    let identifier = Identifier::new(schema)?;
    if schema
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    {
        return Ok(identifier);
    }
    Err(DbError::invalid(format!(
        "the schema name `{}` may only have letters, digits, `_` and `-`",
        schema.escape_debug()
    )))
}

fn continues_a_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$' | '.' | '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_case_is_kept() {
        assert_eq!(quote_identifier("User").unwrap(), "\"User\"");
        assert_eq!(
            quote_identifier("a\"; DROP TABLE b; --").unwrap(),
            "\"a\"\"; DROP TABLE b; --\""
        );
    }

    #[test]
    fn names_that_postgres_would_change_are_refused() {
        for name in [
            String::new(),
            "a\0b".to_owned(),
            "x".repeat(64),
            "ü".repeat(32),
        ] {
            assert!(
                matches!(quote_identifier(&name), Err(DbError::Invalid { .. })),
                "{name:?}"
            );
        }
        assert!(quote_identifier(&"x".repeat(63)).is_ok());
    }

    #[test]
    fn only_the_token_is_renamed() {
        let sql =
            "app.a myapp.b app.app.c \"app\".d 'app.e'::regclass (app.f) $app.g application.h app";
        assert_eq!(
            rename_schema(sql, "app", "new").unwrap(),
            "\"new\".a myapp.b \"new\".app.c \"app\".d '\"new\".e'::regclass (\"new\".f) $app.g \
             application.h app"
        );
    }

    #[test]
    fn the_same_name_leaves_the_text_alone() {
        assert!(matches!(
            rename_schema("app.a", "app", "app"),
            Ok(Cow::Borrowed("app.a"))
        ));
    }

    #[test]
    fn a_schema_name_that_could_end_a_literal_is_refused() {
        for schema in ["a'b", "a\"b", "a b", "", "a\\b"] {
            assert!(rename_schema("app.a", "app", schema).is_err(), "{schema:?}");
        }
    }
}
