// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters select what they say, NULL included, and say where they are wrong.

use forktex_db::{Db, DbError, Filter, FilterProblem, Query, Sort, ValueKind, field, sqlx};
use serde_json::{Value as Json, json};
use sqlx::Executor;

use crate::models::{Models, NewUser, Role, Settings, User};
use crate::setup::options;

/// Users `a` to `d`; the odd ones have no age and no former role.
async fn some_users() -> Models {
    let models = Models::create().await;
    let users = ["a%", "b_", "C", "d"].into_iter().enumerate();
    let news = users.map(|(n, name)| NewUser {
        age: (n % 2 == 0).then_some(i32::try_from(n).unwrap()),
        former_role: (n % 2 == 0).then_some(Role::Admin),
        settings: Settings {
            theme: name.to_owned(),
            tags: vec![],
        },
        odd: Some(f64::from(u8::try_from(n).unwrap()) / 2.0),
        ..NewUser::named(name)
    });
    let news: Vec<_> = news.collect();
    let made = models
        .db
        .transaction(async |tx| tx.repository::<User>().create_many(news.clone()).await)
        .await;
    assert_eq!(made.unwrap().len(), 4);
    models
}

/// The themes of the users that match: one letter each.
async fn matching(db: &Db, filter: Filter<User>) -> Result<String, DbError> {
    let found = db
        .transaction(async |tx| tx.repository::<User>().list(filter.clone()).await)
        .await?;
    let letters = found
        .iter()
        .filter_map(|user| user.settings.theme.chars().next());
    Ok(letters.collect())
}

#[tokio::test]
async fn each_operator_selects_what_it_says() {
    let models = some_users().await;
    let db = &models.db;
    for (json, expected) in [
        (json!({"field": "age", "eq": 0}), "a"),
        (json!({"field": "age", "ne": 0}), "bCd"),
        (json!({"field": "email", "ne": "d@example.com"}), "abC"),
        (json!({"field": "age", "lt": 2}), "a"),
        (json!({"field": "age", "lte": 2}), "aC"),
        (json!({"field": "age", "gt": 0}), "C"),
        (json!({"field": "age", "gte": 0, "lt": 1}), "a"),
        (json!({"field": "age", "between": [0, 2]}), "aC"),
        (json!({"field": "age", "in": [2, 7]}), "C"),
        (json!({"field": "age", "in": []}), ""),
        (json!({"field": "age", "not_in": [2, 7]}), "abd"),
        (json!({"field": "age", "not_in": []}), "abCd"),
        (json!({"field": "age", "eq": null}), "bd"),
        (json!({"field": "age", "ne": null}), "aC"),
        (json!({"field": "age", "is_null": true}), "bd"),
        (json!({"field": "age", "is_null": false}), "aC"),
        (json!({"field": "odd \"name\"", "gt": 1}), "d"),
        (json!({"field": "odd \"name\"", "in": [0.5, 1]}), "bC"),
        (json!({"field": "email", "contains": "%"}), "a"),
        (json!({"field": "email", "contains": "_"}), "b"),
        (json!({"field": "email", "contains": "c"}), "abCd"),
        (json!({"field": "email", "starts_with": "C"}), "C"),
        (json!({"field": "email", "starts_with": "_"}), ""),
        (json!({"field": "email", "icontains": "c@"}), "C"),
        (json!({"field": "email", "ends_with": "d@example.com"}), "d"),
        (json!({"field": "role", "eq": "member"}), "abCd"),
        (
            json!({"field": "settings", "contains": {"theme": "d"}}),
            "d",
        ),
        (
            json!({"field": "settings", "eq": {"theme": "d", "tags": []}}),
            "d",
        ),
        (json!({"and": []}), "abCd"),
        (json!({"or": []}), ""),
        (json!({"not": {"field": "age", "eq": 0}}), "bCd"),
        (json!({"not": {"field": "age", "gt": 0, "lt": 3}}), "abd"),
        (json!({"not": {"not": {"field": "age", "gt": 0}}}), "C"),
        (
            json!({"or": [{"field": "age", "eq": 0}, {"and": [{"field": "age", "is_null": true},
                   {"field": "email", "starts_with": "d"}]}]}),
            "ad",
        ),
        (
            json!({"field": "created_at", "gt": "2020-01-01T00:00:00Z"}),
            "abCd",
        ),
        (
            json!({"field": "id", "in": ["0198c0de-0000-7000-8000-000000000001"]}),
            "",
        ),
    ] {
        let filter = Filter::from_json(&json).unwrap();
        assert_eq!(matching(db, filter).await.unwrap(), expected, "{json}");
    }
}

#[tokio::test]
async fn the_handles_say_the_same() {
    let models = some_users().await;
    let db = &models.db;
    for (filter, expected) in [
        (User::age().eq(0).or(User::age().is_null()), "abd"),
        (User::age().between(1, 2).not(), "abd"),
        (User::former_role().eq(Role::Admin), "aC"),
        (User::former_role().ne(Role::Admin), "bd"),
        (User::role().is_in([Role::Member]), "abCd"),
        (User::email().is_in(["d@example.com"]), "d"),
        (User::settings().contains_json(json!({"theme": "d"})), "d"),
        (
            Filter::all_of([User::age().gte(0), User::email().icontains("c@")]),
            "C",
        ),
        (Filter::any_of([User::age().eq(0), User::age().eq(2)]), "aC"),
        (Filter::all(), "abCd"),
        (Filter::none(), ""),
    ] {
        let json = filter.to_json();
        assert_eq!(matching(db, filter).await.unwrap(), expected, "{json}");
        let read = Filter::from_json(&json).unwrap();
        assert_eq!(
            matching(db, read).await.unwrap(),
            expected,
            "{json} read back"
        );
    }
}

#[tokio::test]
async fn a_resemblance_is_found_by_trigrams() {
    let models = some_users().await;
    let filter = || User::email().fuzzy("d@exmaple.com");
    let missing = matching(&models.db, filter()).await.unwrap_err();
    assert!(matches!(missing, DbError::Missing { .. }), "{missing:?}");
    let superuser = models.database.superuser_url();
    let superuser = Db::connect(superuser, options()).await.unwrap();
    superuser
        .pool()
        .execute("CREATE EXTENSION pg_trgm")
        .await
        .unwrap();
    assert!(matching(&models.db, filter()).await.unwrap().contains('d'));
}

#[tokio::test]
async fn a_wrong_filter_is_invalid_with_the_path() {
    let models = some_users().await;
    let nested = |depth: usize| {
        (1..depth).fold(
            json!({"field": "age", "eq": 1}),
            |inner, _| json!({"and": [inner]}),
        )
    };
    let cases: [(Json, &str, &str); 15] = [
        (
            json!({"field": "agee", "eq": 1}),
            "/field",
            "there is no field `agee`",
        ),
        (
            json!({"and": [{"or": [{"field": "a", "eq": 1}]}]}),
            "/and/0/or/0/field",
            "no field `a`",
        ),
        (
            json!({"field": "age", "eq": "x"}),
            "/eq",
            "expected an integer",
        ),
        (
            json!({"field": "age", "eq": 1.5}),
            "/eq",
            "expected an integer",
        ),
        (
            json!({"field": "age", "in": [1, "x"]}),
            "/in/1",
            "expected an integer",
        ),
        (
            json!({"field": "age", "in": [null]}),
            "/in/0",
            "`in` needs a value",
        ),
        (
            json!({"field": "age", "between": [1, null]}),
            "/between/1",
            "`between` needs a value",
        ),
        (
            json!({"field": "age", "lt": null}),
            "/lt",
            "`lt` needs a value",
        ),
        (
            json!({"field": "age", "contains": "x"}),
            "/contains",
            "`contains` does not fit the field `age`",
        ),
        (
            json!({"field": "age", "fuzzy": "x"}),
            "/fuzzy",
            "`fuzzy` does not fit",
        ),
        (
            json!({"not": {"field": "settings", "gt": 1}}),
            "/not/gt",
            "`gt` does not fit",
        ),
        (
            json!({"field": "email", "contains": 1}),
            "/contains",
            "expected a text",
        ),
        (
            json!({"field": "created_at", "gt": "2020-01-01"}),
            "/gt",
            "expected a time such as",
        ),
        (nested(51), &"/and/0".repeat(50), "nested more than 50 deep"),
        (
            json!({"field": "age", "in": vec![1; 1_001]}),
            "/in",
            "1001 members, where at most 1000",
        ),
    ];
    for (json, path, reason) in cases {
        let refused = match Filter::from_json(&json) {
            Err(error) => DbError::from(error),
            Ok(filter) => matching(&models.db, filter).await.unwrap_err(),
        };
        assert!(matches!(refused, DbError::Invalid { .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains(&format!("at `{path}`")), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    assert!(
        matching(&models.db, Filter::from_json(&nested(50)).unwrap())
            .await
            .is_ok()
    );
    let long = User::age().is_in(vec![1; 1_001]);
    assert!(
        matching(&models.db, long).await.is_err(),
        "the bounds hold from Rust as well"
    );
}

#[tokio::test]
async fn a_filter_can_be_held_to_some_fields() {
    let json = json!({"or": [{"field": "age", "eq": 1}, {"not": {"field": "email", "eq": "x"}}]});
    let filter = Filter::<User>::from_json(&json).unwrap();
    let refused = filter.clone().only(&["age"]).unwrap_err();
    assert_eq!(refused.path(), "/or/1/not/field");
    let problem = FilterProblem::NotAllowed {
        field: "email".to_owned(),
    };
    assert_eq!(refused.problem(), &problem);
    assert!(filter.only(&["age", "email"]).is_ok());
}

/// Values are bound and names are quoted: nothing in them is taken for SQL.
#[tokio::test]
async fn nothing_in_a_filter_is_taken_for_sql() {
    let models = some_users().await;
    let hostile = "'); DROP TABLE app.user; --";
    let filter = Filter::from_json(&json!({"field": "email", "eq": hostile})).unwrap();
    assert_eq!(matching(&models.db, filter).await.unwrap(), "");
    let filter = Filter::from_json(&json!({"field": hostile, "eq": 1})).unwrap();
    assert!(matching(&models.db, filter).await.is_err());
    let filter = Filter::from_json(&json!({"field": "email", "contains": "a\u{0}b"})).unwrap();
    let refused = matching(&models.db, filter).await.unwrap_err();
    assert!(matches!(refused, DbError::Invalid { .. }), "{refused:?}");
    assert_eq!(matching(&models.db, Filter::all()).await.unwrap(), "abCd");
    assert!(Sort::<User>::parse("email;drop", &["email"]).is_err());
}

#[tokio::test]
async fn what_cannot_be_sorted_by_is_refused() {
    let models = some_users().await;
    let list = async |sort: Sort<User>| {
        let list = models.db.transaction(async |tx| {
            tx.repository::<User>()
                .list(Query::new().sort(sort.clone()))
                .await
        });
        list.await
    };
    let by = |name: &str| Sort::<User>::parse(name, &[name]).unwrap();
    for (name, reason) in [
        ("nothing", "there is no such column"),
        ("settings", "which holds a JSON value"),
    ] {
        let refused = list(by(name)).await.unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
    let many = (0..9).fold(Sort::unsorted(), |sort, _| sort.then(User::age().asc()));
    let refused = list(many).await.unwrap_err().to_string();
    assert!(refused.contains("at most 8 columns"), "{refused}");
    assert_eq!(ValueKind::Json.to_string(), "a JSON value");
    let _ = field("age").eq(1);
}
