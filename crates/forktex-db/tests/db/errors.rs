// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Errors as callers see them: by kind, with names, and without the driver's text.

use std::error::Error;

use forktex_db::{Db, DbError, sqlx};
use sqlx::Executor;

use crate::setup::{Notes, options};

async fn fail(notes: &Notes, sql: &'static str) -> DbError {
    notes.db.pool().execute(sql).await.unwrap_err().into()
}

#[tokio::test]
async fn a_unique_violation_names_its_constraint_and_no_value() {
    let notes = Notes::create().await;
    notes
        .db
        .pool()
        .execute("CREATE TABLE app.user (email text CONSTRAINT user_email_key UNIQUE)")
        .await
        .unwrap();
    let insert = async || {
        sqlx::query("INSERT INTO app.user (email) VALUES ($1)")
            .bind("private@example.org")
            .execute(notes.db.pool())
            .await
            .map_err(DbError::from)
    };
    insert().await.unwrap();
    let error = insert().await.unwrap_err();
    assert_eq!(
        error,
        DbError::AlreadyExists {
            constraint: Some("user_email_key".into())
        }
    );
    assert_eq!(error.sqlstate(), Some("23505"));
    assert!(error.source().is_none());
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("private") && !shown.contains("duplicate key"),
        "{shown}"
    );
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    let notes = Notes::create().await;
    match fail(&notes, "INSERT INTO app.note VALUES (1, '')").await {
        DbError::Invalid { constraint, .. } => {
            assert_eq!(constraint.as_deref(), Some("note_has_text"));
        }
        other => panic!("{other:?}"),
    }
    match fail(&notes, "INSERT INTO app.note VALUES (1, NULL)").await {
        DbError::Invalid { column, .. } => assert_eq!(column.as_deref(), Some("text")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        fail(&notes, "SELECT 'x'::integer").await,
        DbError::Invalid { .. }
    ));
    assert!(matches!(
        fail(&notes, "SELECT * FROM app.nothing").await,
        DbError::Missing {
            object: "table",
            ..
        }
    ));
    assert!(matches!(
        fail(&notes, "SELECT nothing FROM app.note").await,
        DbError::Missing {
            object: "column",
            ..
        }
    ));
    let syntax = fail(&notes, "SELEC 1").await;
    assert!(matches!(syntax, DbError::Internal { .. }));
    assert_eq!(syntax.sqlstate(), Some("42601"));

    let none = sqlx::query("SELECT 1 WHERE false")
        .fetch_one(notes.db.pool())
        .await;
    assert_eq!(DbError::from(none.unwrap_err()), DbError::NotFound);
    let unreadable = sqlx::query_scalar::<_, i32>("SELECT 'secret'")
        .fetch_one(notes.db.pool())
        .await;
    let unreadable = DbError::from(unreadable.unwrap_err());
    assert!(
        matches!(unreadable, DbError::Unreadable { .. }),
        "{unreadable:?}"
    );
}

#[tokio::test]
async fn a_role_without_rights_is_denied() {
    let notes = Notes::create().await;
    notes
        .db
        .pool()
        .execute("REVOKE ALL ON app.note FROM PUBLIC")
        .await
        .unwrap();
    let app = Db::connect(notes.database.url(), options()).await.unwrap();
    let error: DbError = app
        .pool()
        .execute("DROP TABLE app.note")
        .await
        .unwrap_err()
        .into();
    assert!(matches!(error, DbError::Denied { .. }), "{error:?}");
}
