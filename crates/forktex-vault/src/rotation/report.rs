// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What a rotation did: counts, and the rows that it set aside. Never a value.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::VaultError;

/// How many bad rows a report lists; the table `quarantine` has all.
pub(super) const BAD_ROWS_MAX: usize = 100;

/// What a rotation has done since it was begun, interrupted runs included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RotationReport {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Rows read, over all passes.
    pub scanned: u64,
    /// Values written anew. In a dry run, those that would be.
    pub rotated: u64,
    /// Values met that needed no work, over all passes. NULLs are not among them.
    pub already_current: u64,
    /// Values that changed between being read and being written, so that the change was kept and the
    /// row was visited again.
    pub lost_swaps: u64,
    /// Rows set aside because they cannot be opened.
    pub quarantined: u64,
    /// The passes over the table; the last was begun, if not ended.
    pub passes: u32,
    /// How long this run took.
    pub elapsed: Duration,
    /// When the pass began that found no row left to do, by the database's clock: what was written
    /// before is under the new key, but for the rows set aside. None if no pass was clean.
    #[serde(with = "time::serde::rfc3339::option")]
    pub clean_as_of: Option<OffsetDateTime>,
    /// The first 100 of the rows set aside, by their ids.
    pub bad_rows: Vec<BadRow>,
    /// Whether nothing was written.
    pub is_dry_run: bool,
}

impl RotationReport {
    /// Whether a whole pass found nothing left to do, and no row was set aside.
    pub fn is_complete(&self) -> bool {
        self.clean_as_of.is_some() && self.quarantined == 0
    }

    /// Adds what a later rotation of the same column did.
    pub(super) fn absorb(&mut self, later: Self) {
        *self = Self {
            scanned: self.scanned + later.scanned,
            rotated: self.rotated + later.rotated,
            already_current: self.already_current + later.already_current,
            lost_swaps: self.lost_swaps + later.lost_swaps,
            passes: self.passes + later.passes,
            elapsed: self.elapsed + later.elapsed,
            ..later
        };
    }
}

impl fmt::Display for RotationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, column, .. } = self;
        let verb = if self.is_dry_run {
            "would be rotated"
        } else {
            "rotated"
        };
        write!(
            f,
            "{table}.{column}: {} values {verb} in {} passes and {:.1} s ({} rows scanned, {} already current, \
             {} swaps lost, {} set aside)",
            self.rotated,
            self.passes,
            self.elapsed.as_secs_f64(),
            self.scanned,
            self.already_current,
            self.lost_swaps,
            self.quarantined
        )?;
        match self.clean_as_of.map(|time| time.format(&Rfc3339)) {
            Some(Ok(time)) => write!(f, "; clean as of {time}"),
            _ => f.write_str("; not yet proved clean"),
        }
    }
}

/// A row that could not be opened. It holds the row's id and the kind of the failure, no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BadRow {
    /// The text of its id.
    pub row_id: String,
    /// Why it does not open.
    pub kind: BadRowKind,
    /// When it was last tried, by the database's clock; in a dry run, by this machine's.
    #[serde(with = "time::serde::rfc3339")]
    pub seen_at: OffsetDateTime,
}

impl BadRow {
    pub(super) fn new(row_id: String, kind: BadRowKind, seen_at: OffsetDateTime) -> Self {
        Self {
            row_id,
            kind,
            seen_at,
        }
    }
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BadRowKind {
    /// It holds no token, or a cut one.
    Malformed,
    /// A later release wrote it.
    UnsupportedVersion,
    /// It is a Fernet token, and the rotation was not told to read those.
    FernetRefused,
    /// It names a key that the rotation was not given.
    UnknownKey,
    /// Another key made it.
    WrongKey,
    /// It was changed, or sealed for another place.
    TamperedOrMoved,
    /// It is too long to be sealed.
    TooLarge,
    /// It opens, but the plain value beside it is another one.
    DiffersFromPlain,
    /// It failed in a way that a later release noted.
    Other,
}

impl BadRowKind {
    const ALL: [Self; 9] = [
        Self::Malformed,
        Self::UnsupportedVersion,
        Self::FernetRefused,
        Self::UnknownKey,
        Self::WrongKey,
        Self::TamperedOrMoved,
        Self::TooLarge,
        Self::DiffersFromPlain,
        Self::Other,
    ];

    /// Its name in the table `quarantine`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnsupportedVersion => "unsupported_version",
            Self::FernetRefused => "fernet_refused",
            Self::UnknownKey => "unknown_key",
            Self::WrongKey => "wrong_key",
            Self::TamperedOrMoved => "tampered_or_moved",
            Self::TooLarge => "too_large",
            Self::DiffersFromPlain => "differs_from_plain",
            Self::Other => "other",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.unwrap_or(Self::Other)
    }

    /// The kind of an error that is the row's fault; none for one that every row would meet.
    pub(super) fn of(error: &VaultError) -> Option<Self> {
        match error {
            VaultError::Malformed { .. } => Some(Self::Malformed),
            VaultError::UnsupportedVersion { .. } => Some(Self::UnsupportedVersion),
            VaultError::FernetRefused => Some(Self::FernetRefused),
            VaultError::UnknownKey { .. } => Some(Self::UnknownKey),
            VaultError::WrongKey { .. } => Some(Self::WrongKey),
            VaultError::TamperedOrMoved => Some(Self::TamperedOrMoved),
            VaultError::TooLarge { .. } => Some(Self::TooLarge),
            VaultError::NoRandomness => None,
            _ => Some(Self::Other),
        }
    }
}

impl fmt::Display for BadRowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What sealing a column showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SealReport {
    /// The rotation that went before.
    pub rotation: RotationReport,
    /// The constraint that refuses every other key. None for Fernet, whose tokens name no key.
    pub constraint: Option<String>,
    /// As of when no value was under another key, by the database's clock. With a constraint it holds
    /// from then on as well.
    #[serde(with = "time::serde::rfc3339")]
    pub as_of: OffsetDateTime,
}

impl fmt::Display for SealReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RotationReport { table, column, .. } = &self.rotation;
        let as_of = self.as_of.format(&Rfc3339).unwrap_or_default();
        match &self.constraint {
            Some(name) => write!(
                f,
                "{table}.{column} is sealed by constraint `{name}` since {as_of}"
            ),
            None => write!(
                f,
                "{table}.{column} was under the new key alone as of {as_of}"
            ),
        }
    }
}
