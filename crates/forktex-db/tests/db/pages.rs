// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The pages of a list are the list: in any order, with NULLs and ties, while rows come.

use std::collections::HashSet;

use forktex_db::{Cursor, Db, DbError, Filter, Page, Query, Sort, sqlx};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::models::{Models, NewUser, User};
use crate::setup::options;

async fn scroll(db: &Db, query: &Query<User>) -> Result<Page<User>, DbError> {
    db.transaction(async |tx| tx.repository::<User>().scroll(query.clone()).await)
        .await
}

/// All pages, one after another; `between` runs after each.
async fn all_pages(db: &Db, query: &Query<User>, between: impl AsyncFn()) -> Vec<Uuid> {
    let mut ids = Vec::new();
    let mut query = query.clone();
    loop {
        let page = scroll(db, &query).await.unwrap();
        ids.extend(page.items.iter().map(|user| user.id));
        assert_eq!(page.has_more, page.next_cursor.is_some());
        let Some(cursor) = page.next_cursor else {
            return ids;
        };
        between().await;
        query = query.after(Cursor::from(cursor.to_string()));
    }
}

/// A random order: its columns, and the `ORDER BY` that says the same, written by hand.
fn random_sort(random: &mut fastrand::Rng) -> (Sort<User>, String) {
    let mut sort = Sort::unsorted();
    let mut sql = Vec::new();
    let mut last = "";
    let mut columns = [
        "age",
        "odd",
        "email",
        "created_at",
        "former_role",
        "created_by",
    ];
    random.shuffle(&mut columns);
    for column in &columns[..random.usize(0..=3)] {
        let descending = random.bool();
        let (next, name) = match *column {
            "age" => (
                pick(User::age().asc(), User::age().desc(), descending),
                "age",
            ),
            "odd" => (
                pick(User::odd().asc(), User::odd().desc(), descending),
                "\"odd \"\"name\"\"\"",
            ),
            "email" => (
                pick(User::email().asc(), User::email().desc(), descending),
                "email",
            ),
            "created_at" => (
                pick(
                    User::created_at().asc(),
                    User::created_at().desc(),
                    descending,
                ),
                "created_at",
            ),
            "former_role" => (
                pick(
                    User::former_role().asc(),
                    User::former_role().desc(),
                    descending,
                ),
                "former_role",
            ),
            _ => (
                pick(
                    User::created_by().asc(),
                    User::created_by().desc(),
                    descending,
                ),
                "created_by",
            ),
        };
        let (next, nulls) = match random.u8(0..3) {
            0 => (next, ""),
            1 => (next.nulls_first(), " NULLS FIRST"),
            _ => (next.nulls_last(), " NULLS LAST"),
        };
        last = if descending { " DESC" } else { " ASC" };
        sql.push(format!("{name}{last}{nulls}"));
        sort = sort.then(next);
    }
    sql.push(format!("id{last}"));
    (sort, sql.join(", "))
}

fn pick<T>(one: T, other: T, take_other: bool) -> T {
    if take_other { other } else { one }
}

/// Few different values, so that there are ties, and NULLs in every column that may have them.
async fn fill(db: &Db, seed: u64, rows: i32) {
    // The seed is the session's, so both statements need the same one.
    let mut tx = db.begin().await.unwrap();
    sqlx::query("SELECT setseed($1)")
        .bind(fastrand::Rng::with_seed(seed).f64())
        .execute(tx.connection())
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO app.user (id, email, age, role, former_role, settings, \"odd \"\"name\"\"\",
                               created_at, updated_at, created_by, version)
         SELECT gen_random_uuid(),
                gen_random_uuid()::text,
                CASE WHEN random() < 0.7 THEN floor(random() * 4) END,
                'member',
                CASE WHEN random() < 0.5 THEN (ARRAY['member', 'admin'])[1 + floor(random() * 2)::int] END,
                '{\"theme\": \"\", \"tags\": []}',
                CASE WHEN random() < 0.8
                     THEN (ARRAY['NaN', '-Infinity', '0.1', '0.30000000000000004']::float8[])[1 + floor(random() * 4)::int] END,
                now() - floor(random() * 3) * interval '1 microsecond',
                now(),
                CASE WHEN random() < 0.5 THEN '0198c0de-0000-7000-8000-000000000001'::uuid END,
                1
         FROM generate_series(1, $1)",
    )
    .bind(rows)
    .execute(tx.connection())
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

/// The property that pages are for. Rows that were there before stand in the pages exactly once and in
/// the order of one scan; rows that come meanwhile at most once.
#[tokio::test]
async fn the_union_of_all_pages_is_the_ordered_scan() {
    let models = Models::create().await;
    let (db, owner) = (&models.db, &models.owner);
    let seed = std::env::var("FORKTEX_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let mut random = fastrand::Rng::with_seed(seed);
    fill(owner, seed, 120).await;
    for round in 0..40 {
        let case = format!("FORKTEX_SEED={seed} round {round}");
        let (sort, order_by) = random_sort(&mut random);
        let filter = match random.u8(0..3) {
            0 => (Filter::all(), "TRUE"),
            1 => (User::age().is_not_null(), "age IS NOT NULL"),
            _ => (User::age().gte(2).not(), "(age >= 2) IS NOT TRUE"),
        };
        let query = Query::new()
            .sort(sort.clone())
            .filter(filter.0)
            .limit(random.u32(3..=40));
        let scan = format!(
            "SELECT id FROM app.user WHERE {} ORDER BY {order_by}",
            filter.1
        );
        let scan = async || -> Vec<Uuid> {
            let scan = sqlx::query_scalar(AssertSqlSafe(scan.clone()));
            scan.fetch_all(owner.pool()).await.unwrap()
        };
        let expected = scan().await;
        let is_disturbed = random.bool();
        let pages = all_pages(db, &query, async || {
            if is_disturbed {
                fill(owner, seed, 1).await;
            }
        })
        .await;
        if is_disturbed {
            let distinct: HashSet<_> = pages.iter().collect();
            assert_eq!(distinct.len(), pages.len(), "a row twice: {case} {sort}");
            let afterwards = scan().await;
            let mut in_order = afterwards.iter();
            let is_in_order = pages.iter().all(|id| in_order.any(|other| other == id));
            assert!(is_in_order, "out of order: {case} {sort}");
        }
        let before: HashSet<_> = expected.iter().collect();
        let pages: Vec<_> = pages.into_iter().filter(|id| before.contains(id)).collect();
        assert_eq!(pages, expected, "{case} {sort}");
    }
}

#[tokio::test]
async fn a_page_tells_how_many_there_are_and_whether_more_follow() {
    let models = Models::create().await;
    let db = &models.db;
    let mut tx = db.begin().await.unwrap();
    let mut users = tx.repository::<User>();
    let empty = users.page(Query::new()).await.unwrap();
    assert_eq!(
        (empty.items.len(), empty.total, empty.has_more),
        (0, Some(0), false)
    );
    users
        .create_many((0..51).map(|n| NewUser::named(&n.to_string())))
        .await
        .unwrap();
    let first = users.page(Query::new()).await.unwrap();
    assert_eq!(
        (first.items.len(), first.total, first.has_more),
        (50, Some(51), true)
    );
    let json = serde_json::to_value(first.clone().map(|user| user.email)).unwrap();
    assert_eq!(json["has_more"], true);
    assert_eq!(
        json["next_cursor"],
        first.next_cursor.clone().unwrap().as_str()
    );
    let last = users
        .scroll(Query::new().limit(7).after(first.next_cursor))
        .await
        .unwrap();
    assert_eq!(
        (last.items.len(), last.total, last.has_more),
        (1, None, false)
    );
    for limit in [0, 1_001] {
        let refused = users.scroll(Query::new().limit(limit)).await.unwrap_err();
        assert!(refused.to_string().contains("1 to 1000 rows"), "{refused}");
    }
}

#[tokio::test]
async fn a_cursor_serves_its_own_list_only() {
    let models = Models::create().await;
    let db = &models.db;
    fill(&models.owner, 1, 40).await;
    let query = Query::new()
        .filter(User::age().is_not_null())
        .sort(User::age().asc())
        .limit(2);
    let cursor = scroll(db, &query).await.unwrap().next_cursor.unwrap();
    let same = query.clone().limit(3).after(cursor.clone());
    assert!(scroll(db, &same).await.is_ok(), "the limit may differ");
    for (other, what) in [
        (query.clone().sort(User::age().desc()), "direction"),
        (query.clone().sort(User::age().asc().nulls_first()), "nulls"),
        (query.clone().sort(User::email().asc()), "column"),
        (query.clone().filter(User::age().gt(0)), "filter"),
        (Query::new().sort(User::age().asc()), "no filter"),
    ] {
        let refused = scroll(db, &other.after(cursor.clone())).await.unwrap_err();
        assert!(matches!(refused, DbError::Invalid { .. }), "{what}");
        assert!(
            refused.to_string().contains("another filter or sort"),
            "{what}: {refused}"
        );
    }
    let archived = db
        .transaction(async |tx| {
            let mut users = tx.repository::<User>().with_archived();
            users.scroll(query.clone().after(cursor.clone())).await
        })
        .await;
    assert!(archived.is_err());
    for text in [
        "",
        "x",
        "AAAA",
        "🦀",
        &"A".repeat(20_000),
        &cursor.as_str()[1..],
    ] {
        let refused = scroll(db, &query.clone().after(Cursor::from(text)))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, DbError::Invalid { .. }),
            "{text}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn a_signed_cursor_cannot_be_made_up() {
    let signed = Models::with(options().cursor_key(b"the host's secret")).await;
    fill(&signed.owner, 1, 5).await;
    let query = Query::new().limit(2);
    let cursor = scroll(&signed.db, &query)
        .await
        .unwrap()
        .next_cursor
        .unwrap();
    assert!(
        scroll(&signed.db, &query.clone().after(cursor.clone()))
            .await
            .is_ok()
    );
    let unsigned = scroll(&signed.owner, &query)
        .await
        .unwrap()
        .next_cursor
        .unwrap();
    let refused = scroll(&signed.db, &query.clone().after(unsigned))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("not signed by this service"),
        "{refused}"
    );
    assert!(scroll(&signed.owner, &query.after(cursor)).await.is_err());
    assert!(!format!("{:?}", options().cursor_key(b"s3cret")).contains("s3cret"));
}

/// A page further on costs no more than the first: an index finds where it begins, also where the
/// columns go different ways or may be NULL.
#[tokio::test]
async fn a_later_page_is_found_by_an_index() {
    let models = Models::create().await;
    let owner = &models.owner;
    fill(owner, 1, 20_000).await;
    for statement in [
        "UPDATE app.user SET created_at = now() - random() * interval '1 day'",
        "CREATE INDEX by_age_upwards ON app.user (age, id)",
        "CREATE INDEX by_age ON app.user (age DESC, id DESC)",
        "CREATE INDEX by_created ON app.user (created_at, email DESC, id DESC)",
        "ANALYZE app.user",
    ] {
        sqlx::query(statement).execute(owner.pool()).await.unwrap();
    }
    for sort in [
        Sort::unsorted(),
        User::age().asc(),
        User::age().desc(),
        User::created_at().asc().then(User::email().desc()),
    ] {
        let query = Query::new().sort(sort.clone()).limit(10);
        let last = all_but_the_last_pages(&models.db, &query.clone().limit(1_000)).await;
        let mut tx = owner.begin().await.unwrap();
        // A short table is scanned as quickly; that an index could serve is what counts.
        let no_scan = sqlx::query("SET LOCAL enable_seqscan = off");
        no_scan.execute(tx.connection()).await.unwrap();
        let before = rows_read(&mut tx).await;
        let page = tx
            .repository::<User>()
            .scroll(query.after(last))
            .await
            .unwrap();
        assert_eq!(page.items.len(), 10);
        let read = rows_read(&mut tx).await - before;
        assert!(
            read < 1_500,
            "{sort}: {read} rows were read for a page of ten"
        );
    }
}

/// The cursor after as many whole pages as there are.
async fn all_but_the_last_pages(db: &Db, query: &Query<User>) -> Cursor {
    let mut query = query.clone();
    let mut last = None;
    loop {
        let page = scroll(db, &query).await.unwrap();
        match page.next_cursor {
            Some(cursor) => {
                last = Some(cursor.clone());
                query = query.after(cursor);
            }
            None => return last.unwrap(),
        }
    }
}

/// How many rows of the table this transaction has read so far.
async fn rows_read(tx: &mut forktex_db::Transaction) -> i64 {
    sqlx::query_scalar(
        "SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)), 0)::bigint
         FROM pg_class WHERE relnamespace = 'app'::regnamespace",
    )
    .fetch_one(tx.connection())
    .await
    .unwrap()
}
