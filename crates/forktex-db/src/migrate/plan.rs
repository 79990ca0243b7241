// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Decides what to apply, from what the program knows and what the database has. It runs no SQL.

use sha2::{Digest, Sha256};

use super::{MigrateError, Migration};

/// A row of the history.
pub(super) struct Applied {
    pub(super) version: u32,
    pub(super) checksum: Vec<u8>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) pending: Vec<Migration>,
    /// The newest version in the database.
    pub(super) current: u32,
    /// Versions in the database that the program does not know.
    pub(super) ahead: Vec<u32>,
}

/// The SHA-256 of a migration's text. Line ends are made equal first, as a checkout may change them.
pub(super) fn checksum(sql: &str) -> [u8; 32] {
    Sha256::digest(sql.replace("\r\n", "\n").as_bytes()).into()
}

/// Checks that versions are 1, 2, 3 and so on.
pub(super) fn validate(migrations: &[Migration]) -> Result<(), MigrateError> {
    for (expected, migration) in (1..).zip(migrations) {
        if migration.version != expected {
            return Err(MigrateError::OutOfSequence {
                expected,
                found: migration.version,
            });
        }
    }
    Ok(())
}

/// Compares valid migrations with the history, sorted by version.
pub(super) fn plan(migrations: &[Migration], applied: &[Applied]) -> Result<Plan, MigrateError> {
    for (expected, row) in (1..).zip(applied) {
        if row.version != expected {
            return Err(MigrateError::Hole { version: expected });
        }
    }
    for (migration, row) in migrations.iter().zip(applied) {
        if row.checksum != checksum(migration.sql) {
            return Err(MigrateError::ChecksumChanged {
                version: migration.version,
                name: migration.name,
            });
        }
    }
    let ahead = applied.iter().skip(migrations.len());
    Ok(Plan {
        pending: migrations.iter().skip(applied.len()).copied().collect(),
        current: applied.last().map_or(0, |row| row.version),
        ahead: ahead.map(|row| row.version).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration::new(1, "first", "SELECT 1");
    const SECOND: Migration = Migration::new(2, "second", "SELECT 2");
    const THIRD: Migration = Migration::new(3, "third", "SELECT 3");

    fn applied(migrations: &[Migration]) -> Vec<Applied> {
        let row = |migration: &Migration| Applied {
            version: migration.version,
            checksum: checksum(migration.sql).to_vec(),
        };
        migrations.iter().map(row).collect()
    }

    #[test]
    fn gaps_duplicates_and_disorder_are_refused() {
        for (migrations, expected, found) in [
            (vec![SECOND], 1, 2),
            (vec![FIRST, THIRD], 2, 3),
            (vec![FIRST, FIRST], 2, 1),
            (vec![SECOND, FIRST], 1, 2),
        ] {
            let refused = Err(MigrateError::OutOfSequence { expected, found });
            assert_eq!(validate(&migrations), refused);
        }
        assert_eq!(validate(&[FIRST, SECOND, THIRD]), Ok(()));
    }

    #[test]
    fn what_is_missing_is_pending() {
        let plan = plan(&[FIRST, SECOND, THIRD], &applied(&[FIRST])).unwrap();
        assert_eq!(plan.pending, [SECOND, THIRD]);
        assert_eq!((plan.current, plan.ahead), (1, vec![]));
    }

    #[test]
    fn a_newer_database_is_accepted_and_reported() {
        let plan = plan(&[FIRST], &applied(&[FIRST, SECOND, THIRD])).unwrap();
        assert_eq!(plan.pending, []);
        assert_eq!((plan.current, plan.ahead), (3, vec![2, 3]));
    }

    #[test]
    fn an_edited_migration_is_refused() {
        let edited = Migration::new(1, "first", "SELECT 10");
        let error = plan(&[edited, SECOND], &applied(&[FIRST])).unwrap_err();
        assert!(matches!(
            error,
            MigrateError::ChecksumChanged { version: 1, .. }
        ));
    }

    #[test]
    fn a_hole_in_the_history_is_refused() {
        let error = plan(&[FIRST, SECOND, THIRD], &applied(&[FIRST, THIRD])).unwrap_err();
        assert_eq!(error, MigrateError::Hole { version: 2 });
    }

    #[test]
    fn line_ends_do_not_change_a_checksum() {
        assert_eq!(checksum("a;\r\nb;"), checksum("a;\nb;"));
        assert_ne!(checksum("a;"), checksum("b;"));
    }
}
