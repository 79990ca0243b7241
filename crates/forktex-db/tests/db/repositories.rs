// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A repository makes, finds, changes, archives and deletes rows, and says what stands in the way.

use forktex_db::{DbError, LIST_ROWS_MAX, Query, Transaction, sqlx};
use futures_util::TryStreamExt;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::models::{Models, NewUser, Role, Settings, User};

#[tokio::test]
async fn a_created_row_comes_back_as_it_is_stored() {
    let models = Models::create().await;
    let db = &models.db;
    let user = Uuid::now_v7();
    db.acting_as(user)
        .transaction(async |tx| -> Result<(), DbError> {
            let mut users = tx.repository::<User>();
            let new = NewUser {
                email: "ada@example.com".into(),
                age: Some(36),
                role: Role::Admin,
                former_role: Some(Role::Member),
                settings: Settings {
                    theme: "dark".into(),
                    tags: vec!["a".into()],
                },
                odd: Some(0.1),
            };
            let made = users.create(new.clone()).await?;
            assert_eq!(made.id.get_version_num(), 7);
            assert_eq!(
                (made.email.as_str(), made.age),
                ("ada@example.com", Some(36))
            );
            assert_eq!((made.role, made.former_role), (new.role, new.former_role));
            assert_eq!((&made.settings, made.odd), (&new.settings, new.odd));
            assert_eq!((made.created_by, made.updated_by), (Some(user), Some(user)));
            assert_eq!((made.version, made.archived_at), (1, None));
            assert_eq!(made.created_at, made.updated_at);
            let age = OffsetDateTime::now_utc() - made.created_at;
            assert!(age.whole_seconds().abs() < 60, "{age}");

            assert_eq!(users.get(made.id).await?, made);
            assert_eq!(users.find(User::role().eq(Role::Admin)).await?, Some(made));
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let models = Models::create().await;
    let db = &models.db;
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    let id = Uuid::now_v7();
    assert_eq!(users.get(id).await, Err(DbError::NotFound));
    assert_eq!(users.get_for_update(id).await, Err(DbError::NotFound));
    assert_eq!(users.find(User::id().eq(id)).await, Ok(None));
    assert_eq!(
        users.set(id, [User::age().set(1)]).await,
        Err(DbError::NotFound)
    );
    assert_eq!(users.archive(id).await, Err(DbError::NotFound));
    assert_eq!(users.restore(id).await, Err(DbError::NotFound));
    assert_eq!(users.delete(id).await, Err(DbError::NotFound));
    assert_eq!(users.exists(User::id().eq(id)).await, Ok(false));
    assert_eq!(users.count(User::id().eq(id)).await, Ok(0));
}

#[tokio::test]
async fn c54_a_duplicate_names_its_index_and_nothing_of_the_row() {
    let models = Models::create().await;
    let db = &models.db;
    let mut tx = db.begin().await.unwrap();
    tx.repository::<User>()
        .create(NewUser::named("s3cret"))
        .await
        .unwrap();
    let refused = tx
        .transaction(async |tx| {
            tx.repository::<User>()
                .create(NewUser::named("s3cret"))
                .await
        })
        .await
        .unwrap_err();
    assert_eq!(
        refused,
        DbError::AlreadyExists {
            constraint: Some("user_email_key".to_owned())
        }
    );
    assert!(!format!("{refused} {refused:?}").contains("s3cret"));
}

#[tokio::test]
async fn c54_an_archived_row_is_hidden_and_leaves_its_unique_values_to_others() {
    let models = Models::create().await;
    let db = &models.db;
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    let first = users.create(NewUser::named("ada")).await.unwrap();
    let archived = users.archive(first.id).await.unwrap();
    assert!(archived.archived_at.is_some());
    assert_eq!(archived.version, 2);
    assert_eq!(users.get(first.id).await, Err(DbError::NotFound));
    assert_eq!(users.archive(first.id).await, Err(DbError::NotFound));
    assert_eq!(users.update(&archived).await, Err(DbError::NotFound));
    assert_eq!(users.delete(first.id).await, Err(DbError::NotFound));

    let second = users.create(NewUser::named("ada")).await.unwrap();
    let all = tx
        .repository::<User>()
        .with_archived()
        .list(Query::new())
        .await
        .unwrap();
    assert_eq!(all, [archived.clone(), second.clone()]);
    let hidden = tx
        .repository::<User>()
        .only_archived()
        .list(Query::new())
        .await
        .unwrap();
    assert_eq!(hidden, [archived]);

    let refused = tx
        .transaction(async |tx| tx.repository::<User>().restore(first.id).await)
        .await;
    assert!(
        matches!(refused, Err(DbError::AlreadyExists { .. })),
        "{refused:?}"
    );
    let mut users = tx.repository::<User>();
    users.delete(second.id).await.unwrap();
    let restored = users.restore(first.id).await.unwrap();
    assert_eq!((restored.archived_at, restored.version), (None, 3));
    users.archive(first.id).await.unwrap();
    tx.repository::<User>()
        .with_archived()
        .delete(first.id)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_update_that_missed_a_change_is_a_conflict() {
    let models = Models::create().await;
    let db = &models.db;
    let made = db
        .transaction(async |tx| tx.repository::<User>().create(NewUser::named("ada")).await)
        .await
        .unwrap();
    let change = async |age: i32| {
        let mut seen = made.clone();
        seen.age = Some(age);
        db.transaction(async |tx| tx.repository::<User>().update(&seen).await)
            .await
    };
    let (one, other) = tokio::join!(change(1), change(2));
    let (won, lost) = if one.is_ok() {
        (one, other)
    } else {
        (other, one)
    };
    let won = won.unwrap();
    assert_eq!(won.version, 2);
    assert!(matches!(lost, Err(DbError::Conflict { .. })), "{lost:?}");
    assert!(
        !lost.unwrap_err().is_retryable(),
        "the same update would fail again"
    );

    let stored = db
        .transaction(async |tx| tx.repository::<User>().get(made.id).await)
        .await;
    assert_eq!(stored, Ok(won));
}

#[tokio::test]
async fn set_writes_the_given_fields_and_no_others() {
    let models = Models::create().await;
    let db = &models.db;
    let editor = Uuid::now_v7();
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    let made = users.create(NewUser::named("ada")).await.unwrap();
    tx.acting_as(editor);
    let mut users = tx.repository::<User>();
    let changed = users
        .set(
            made.id,
            [
                User::age().set(7),
                User::role().set(Role::Admin),
                User::former_role().set(Role::Member),
                User::settings().set(Settings {
                    theme: "dark".into(),
                    tags: vec![],
                }),
            ],
        )
        .await
        .unwrap();
    let expected = User {
        age: Some(7),
        role: Role::Admin,
        former_role: Some(Role::Member),
        settings: Settings {
            theme: "dark".into(),
            tags: vec![],
        },
        updated_by: Some(editor),
        version: 2,
        ..made.clone()
    };
    assert_eq!(changed, expected);
    let cleared = users
        .set(made.id, [User::age().set(None), User::email().set("b")])
        .await;
    let cleared = cleared.unwrap();
    assert_eq!((cleared.age, cleared.email.as_str()), (None, "b"));

    for (assignments, reason) in [
        (vec![], "there is nothing to set"),
        (
            vec![User::version().set(9)],
            "it is filled in by the repository",
        ),
        (
            vec![User::age().set(1), User::age().set(2)],
            "it is set twice",
        ),
    ] {
        let refused = users
            .set(made.id, assignments)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn many_rows_are_made_in_the_order_given() {
    let models = Models::create().await;
    let db = &models.db;
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    let count = 4_100; // Three statements.
    let news = (0..count).map(|n| NewUser {
        age: (n % 2 == 0).then_some(n),
        former_role: (n % 3 == 0).then_some(Role::Admin),
        ..NewUser::named(&n.to_string())
    });
    let made = users.create_many(news.clone()).await.unwrap();
    let emails: Vec<_> = made.iter().map(|user| &user.email).collect();
    let expected: Vec<_> = news.map(|new| new.email).collect();
    assert_eq!(emails, expected.iter().collect::<Vec<_>>());
    assert_eq!(made[2].age, Some(2));
    assert_eq!((made[1].age, made[1].former_role), (None, None));
    assert_eq!(users.count(User::age().is_null()).await, Ok(2_050));
    assert_eq!(users.create_many([]).await, Ok(vec![]));

    let changed = users
        .set_all(User::age().lt(100), [User::role().set(Role::Admin)])
        .await;
    assert_eq!(changed, Ok(50));
    assert_eq!(users.delete_all(User::role().eq(Role::Admin)).await, Ok(50));
    assert_eq!(users.count(User::id().is_not_null()).await, Ok(4_050));
}

#[tokio::test]
async fn an_upsert_makes_or_changes_one_row() {
    let models = Models::create().await;
    let db = &models.db;
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    let id = Uuid::now_v7();
    let made = users.upsert(id, NewUser::named("ada")).await.unwrap();
    let changed = users
        .upsert(
            id,
            NewUser {
                age: Some(1),
                ..NewUser::named("ada")
            },
        )
        .await
        .unwrap();
    assert_eq!((changed.id, changed.version, changed.age), (id, 2, Some(1)));
    assert_eq!(changed.created_at, made.created_at);
    users.archive(id).await.unwrap();
    let revived = users.upsert(id, NewUser::named("ada")).await.unwrap();
    assert_eq!((revived.archived_at, revived.version), (None, 4));

    let by_email = users
        .upsert_by(
            User::email(),
            NewUser {
                age: Some(2),
                ..NewUser::named("ada")
            },
        )
        .await
        .unwrap();
    assert_eq!(
        (by_email.id, by_email.age, by_email.version),
        (id, Some(2), 5)
    );
    let other = users
        .upsert_by(User::email(), NewUser::named("bob"))
        .await
        .unwrap();
    assert_ne!(other.id, id);
    users.archive(id).await.unwrap();
    let anew = users
        .upsert_by(User::email(), NewUser::named("ada"))
        .await
        .unwrap();
    assert_ne!(anew.id, id, "an archived row is in nobody's way");

    let refused = users
        .upsert_by(User::age(), NewUser::named("eve"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("declare `unique(age)`"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_list_is_never_cut_silently() {
    let models = Models::create().await;
    let (db, owner) = (&models.db, &models.owner);
    sqlx::query(
        "INSERT INTO app.user (id, email, role, settings, created_at, updated_at, version)
         SELECT gen_random_uuid(), n::text, 'member', '{\"theme\": \"\", \"tags\": []}', now(), now(), 1
         FROM generate_series(1, $1) AS n",
    )
    .bind(i32::try_from(LIST_ROWS_MAX).unwrap())
    .execute(owner.pool())
    .await
    .unwrap();
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    assert_eq!(
        users.list(Query::new()).await.unwrap().len(),
        LIST_ROWS_MAX as usize
    );
    users.create(NewUser::named("one-more")).await.unwrap();
    let refused = users.list(Query::new()).await.unwrap_err();
    assert!(
        refused.to_string().contains("use `page` or `stream`"),
        "{refused}"
    );
    assert_eq!(users.list(Query::new().limit(3)).await.unwrap().len(), 3);
    assert!(
        users
            .list(Query::new().limit(LIST_ROWS_MAX + 1))
            .await
            .is_err()
    );

    let streamed: Vec<User> = users
        .stream(Query::new())
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(streamed.len(), LIST_ROWS_MAX as usize + 1);
    assert!(streamed.is_sorted_by_key(|user| user.id));
}

/// The transaction goes on after a stream was dropped midway.
#[tokio::test]
async fn a_dropped_stream_leaves_the_transaction_usable() {
    let models = Models::create().await;
    let db = &models.db;
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    let news = (0..500).map(|n| NewUser::named(&n.to_string()));
    users.create_many(news).await.unwrap();
    {
        let mut stream = users.stream(Query::new()).unwrap();
        assert!(stream.try_next().await.unwrap().is_some());
    }
    assert_eq!(users.count(User::id().is_not_null()).await, Ok(500));
    tx.commit().await.unwrap();
}

/// A row that does not read as its model is told by the column, without its value.
#[tokio::test]
async fn a_row_that_cannot_be_read_names_the_column() {
    let models = Models::create().await;
    let (db, owner) = (&models.db, &models.owner);
    let made = db
        .transaction(async |tx| tx.repository::<User>().create(NewUser::named("ada")).await)
        .await
        .unwrap();
    let read = async || {
        let read =
            db.transaction(async |tx: &mut Transaction| tx.repository::<User>().get(made.id).await);
        read.await.unwrap_err()
    };
    sqlx::query("UPDATE app.user SET role = 's3cret'")
        .execute(owner.pool())
        .await
        .unwrap();
    let error = read().await;
    assert_eq!(
        error,
        DbError::Unreadable {
            column: Some("role".to_owned())
        }
    );
    assert!(!format!("{error:?}").contains("s3cret"));
    sqlx::query("UPDATE app.user SET role = 'admin', settings = '[\"s3cret\"]'")
        .execute(owner.pool())
        .await
        .unwrap();
    let error = read().await;
    assert_eq!(
        error,
        DbError::Unreadable {
            column: Some("settings".to_owned())
        }
    );
}
