// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What is done to one value, and the parts of SQL that belong to it. The sweep knows neither.

use crate::context::Context;
use crate::error::VaultError;
use crate::key::KeyId;
use crate::scheme::{Scheme, v2};
use crate::token::Token;
use crate::vault::Vault;

use super::report::BadRowKind;
use super::target::{Holds, Names};

/// Where the values of a column belong.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// To their rows: this, with the row's id and organisation.
    Row(Context),
    /// Nowhere: they open anywhere.
    Nowhere,
}

impl Place {
    fn of(&self, row: &str, org: Option<&str>) -> Context {
        match self {
            Self::Nowhere => Context::none(),
            Self::Row(base) => {
                let context = base.clone().row(row);
                match org {
                    Some(org) => context.org(org),
                    None => context,
                }
            }
        }
    }
}

/// What is to be done with what a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// It holds a token: seal its content anew. `from_unbound`: it may be bound to no place.
    Reseal { from_unbound: bool },
    /// It holds JSON: seal it, and set the plain column to NULL if so asked.
    SealPlain { nulls_plain: bool },
    /// It holds a token: see that it opens, and holds what the plain column does, and leave it as it is.
    Verify { compares_plain: bool },
}

/// Turns what was found in a row into what shall stand there. Computes only.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) task: Task,
    /// Holds all keys.
    pub(super) opening: Vault,
    /// Holds the new key alone, and writes the new scheme.
    pub(super) sealing: Vault,
    pub(super) scheme: Scheme,
    pub(super) place: Place,
    pub(super) holds: Holds,
}

/// What is to be done with a row.
pub(super) enum Verdict {
    /// Nothing.
    Current,
    /// This shall stand there.
    Replace(Vec<u8>),
    /// Nothing can be: something is wrong with it.
    Bad(BadRowKind),
}

/// A row, as it was read.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) id: &'a str,
    pub(super) org: Option<&'a str>,
    pub(super) value: &'a [u8],
    /// The JSON of the plain value, where it is compared.
    pub(super) plain: Option<&'a str>,
}

impl Work {
    /// Says what is to be done with a row.
    ///
    /// # Errors
    /// What every row would meet.
    pub(super) fn judge(&self, found: Found<'_>) -> Result<Verdict, VaultError> {
        self.try_to_judge(found)
            .or_else(|error| match BadRowKind::of(&error) {
                Some(kind) => Ok(Verdict::Bad(kind)),
                None => Err(error),
            })
    }

    fn try_to_judge(&self, row: Found<'_>) -> Result<Verdict, VaultError> {
        let (place, found) = (self.place.of(row.id, row.org), row.value);
        let token = match self.task {
            Task::Verify { .. } => {
                let opened = self.opening.bound(place).open(&Token::from_bytes(found)?)?;
                return Ok(match row.plain {
                    Some(plain) if !is_same_json(&opened, plain) => {
                        Verdict::Bad(BadRowKind::DiffersFromPlain)
                    }
                    _ => Verdict::Current,
                });
            }
            Task::SealPlain { .. } => self.sealing.bound(place).seal(found)?,
            Task::Reseal { from_unbound } => {
                let old = Token::from_bytes(found)?;
                if self.scheme == Scheme::Fernet && self.sealing.has_signed(&old) {
                    return Ok(Verdict::Current);
                }
                let bound = self.opening.bound(place);
                let plaintext = match bound.open(&old) {
                    Err(VaultError::TamperedOrMoved) if from_unbound => {
                        self.opening.bound(Context::none()).open(&old)?
                    }
                    opened => opened?,
                };
                // The age of a value is that of its content, not of its last rotation.
                self.sealing
                    .bound(bound.into_context())
                    .seal_as_of(&plaintext, old.sealed_at_seconds())?
            }
        };
        Ok(Verdict::Replace(match self.holds {
            Holds::Bytes => token.into_bytes(),
            Holds::Text => token.to_string().into_bytes(),
        }))
    }

    /// Whether the server can tell which rows need work. Of a Fernet token only who has the key can, and
    /// what is verified must be opened.
    pub(super) fn is_told_by_server(&self) -> bool {
        match self.task {
            Task::Reseal { .. } => self.scheme == Scheme::V2,
            Task::SealPlain { .. } => true,
            Task::Verify { .. } => false,
        }
    }

    /// The parts of the statements that depend on the work.
    pub(super) fn sql_parts(&self, names: &Names) -> Vec<(&'static str, String)> {
        let column = &names.column;
        let sealed = match self.holds {
            Holds::Bytes => "change.sealed",
            Holds::Text => "convert_from(change.sealed, 'UTF8')",
        };
        let mut parts = match (self.task, &names.source) {
            (Task::SealPlain { nulls_plain }, Some(source)) => {
                let assign = if nulls_plain {
                    format!("{column} = {sealed}, {source} = NULL")
                } else {
                    format!("{column} = {sealed}")
                };
                vec![
                    ("value", source.to_string()),
                    ("bytes", format!("pg_catalog.pg_column_size({source})")),
                    ("is_current", format!("{column} IS NOT NULL")),
                    (
                        "as_bytes",
                        "convert_to(to_json(page.value)::text, 'UTF8')".to_owned(),
                    ),
                    ("assign", assign),
                    (
                        "is_unchanged",
                        format!(
                            "target.{column} IS NULL AND convert_to(to_json(target.{source})::text, 'UTF8') \
                             = change.found"
                        ),
                    ),
                ]
            }
            _ => vec![
                ("value", column.to_string()),
                ("bytes", format!("octet_length({column})")),
                ("is_current", self.is_current(&column.to_string())),
                (
                    "as_bytes",
                    match self.holds {
                        Holds::Bytes => "page.value".to_owned(),
                        Holds::Text => "convert_to(page.value, 'UTF8')".to_owned(),
                    },
                ),
                ("assign", format!("{column} = {sealed}")),
                (
                    "is_unchanged",
                    match self.holds {
                        Holds::Bytes => format!("target.{column} = change.found"),
                        Holds::Text => {
                            format!("convert_to(target.{column}, 'UTF8') = change.found")
                        }
                    },
                ),
            ],
        };
        let plain = match (self.task, &names.source) {
            (
                Task::Verify {
                    compares_plain: true,
                },
                Some(source),
            ) => format!("to_json({source})::text"),
            _ => "NULL::text".to_owned(),
        };
        parts.extend([
            ("plain", plain),
            ("table", names.table()),
            ("id", names.id.to_string()),
            (
                "org",
                names
                    .org
                    .as_ref()
                    .map_or_else(|| "NULL::text".to_owned(), ToString::to_string),
            ),
        ]);
        parts
    }

    fn is_current(&self, value: &str) -> String {
        if self.is_told_by_server() {
            is_under_key(self.holds, self.sealing.primary_key(), value)
        } else {
            "false".to_owned()
        }
    }
}

/// Whether two texts are the same JSON, whatever their spaces and the order of their fields.
fn is_same_json(one: &[u8], other: &str) -> bool {
    let one = serde_json::from_slice::<serde_json::Value>(one);
    let other = serde_json::from_str::<serde_json::Value>(other);
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

/// The condition that a value is a token of format v2 under this key, as its first bytes say. Of a NULL
/// it is NULL, which a CHECK lets pass.
pub(super) fn is_under_key(holds: Holds, key: KeyId, value: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let mut first_bytes = [v2::VERSION; 9];
    first_bytes[1..].copy_from_slice(key.as_bytes());
    match holds {
        Holds::Bytes => {
            format!(
                "substring({value} FROM 1 FOR 9) = '\\x{:02x}{key}'::bytea",
                v2::VERSION
            )
        }
        Holds::Text => format!(
            "left({value}, 12) = '{}' COLLATE \"C\"",
            URL_SAFE_NO_PAD.encode(first_bytes)
        ),
    }
}
