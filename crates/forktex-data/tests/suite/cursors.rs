// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Cursors: pages one after another are whole, whatever the order, and a cursor of another query or of
//! nobody leads nowhere.

use forktex_data::{
    Count, Cursor, DataError, FieldDefinition, QueryError, Register, RowId, RowQuery, field,
};
use futures_util::TryStreamExt as _;
use serde_json::json;

use crate::fixture::{World, create, draft};

/// Rows that tie in each field, with empties among them.
async fn ties(world: &World) -> Register {
    let fields = [
        FieldDefinition::text("group").indexed(),
        FieldDefinition::integer("rank").indexed(),
        FieldDefinition::decimal("plain"),
    ];
    let register = world.with_fields("ties", fields).await;
    let drafts = (0..97).map(|n| {
        let mut row =
            json!({"group": format!("g{}", n % 4), "rank": n % 3, "plain": (n % 5).to_string()});
        if n % 7 == 0 {
            row["group"] = json!(null);
            row["plain"] = json!(null);
        }
        if n % 11 == 0
            && let Some(row) = row.as_object_mut()
        {
            row.remove("rank");
        }
        draft(row)
    });
    register.rows().create_many(drafts.collect()).await.unwrap();
    register
}

fn query(register: &Register, keys: &[&str]) -> RowQuery {
    let query = RowQuery::new(register);
    keys.iter().fold(query, |query, key| query.order_by(*key))
}

#[tokio::test]
async fn pages_one_after_another_are_the_whole_list() {
    let world = World::create().await;
    let ties = ties(&world).await;
    for keys in [
        &[][..],
        &["group"],
        &["-group"],
        &["rank", "-group"],
        &["-plain", "group"],
        &["plain", "-rank", "group"],
        &["-created_at"],
        &["id"],
        &["-id"],
    ] {
        let whole: Vec<RowId> = {
            let found = query(&ties, keys).scroll(200).await.unwrap();
            assert!(found.next.is_none());
            found.rows.iter().map(|row| row.id).collect()
        };
        assert_eq!(whole.len(), 97);
        for size in [1, 7, 96, 97] {
            let mut seen = Vec::new();
            let mut page = query(&ties, keys).scroll(size).await.unwrap();
            loop {
                seen.extend(page.rows.iter().map(|row| row.id));
                let Some(cursor) = page.next else { break };
                page = query(&ties, keys).scroll_after(cursor, size).await.unwrap();
            }
            assert_eq!(seen, whole, "{keys:?} by {size}");
        }
        let mut numbered = Vec::new();
        for number in 1..=10 {
            let page = query(&ties, keys).page(number, 10).await.unwrap();
            numbered.extend(page.rows.iter().map(|row| row.id));
        }
        assert_eq!(numbered, whole, "{keys:?} by numbers");
        let streamed: Vec<RowId> = query(&ties, keys)
            .stream()
            .map_ok(|row| row.id)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(streamed, whole, "{keys:?} as a stream");
    }
}

/// What is written meanwhile moves no row from one page to another.
#[tokio::test]
async fn rows_that_come_and_go_disturb_no_other() {
    let world = World::create().await;
    let ties = ties(&world).await;
    let keys = ["group", "-rank"];
    let before = query(&ties, &keys).scroll(200).await.unwrap();
    let mut page = query(&ties, &keys).scroll(10).await.unwrap();
    let mut seen: Vec<RowId> = page.rows.iter().map(|row| row.id).collect();
    let gone = before.rows[50].id;
    ties.rows().delete(gone).await.unwrap();
    let early = create(&ties, json!({"group": "a", "rank": 9})).await.id;
    while let Some(cursor) = page.next {
        page = query(&ties, &keys).scroll_after(cursor, 10).await.unwrap();
        seen.extend(page.rows.iter().map(|row| row.id));
    }
    let expected: Vec<RowId> = before
        .rows
        .iter()
        .map(|row| row.id)
        .filter(|id| *id != gone)
        .collect();
    assert_eq!(seen, expected);
    assert!(
        !seen.contains(&early),
        "it came before the place where the reader was"
    );
}

#[tokio::test]
async fn a_cursor_of_another_query_is_invalid() {
    let world = World::create().await;
    let ties = ties(&world).await;
    let other = world
        .with_fields("other", [FieldDefinition::text("group")])
        .await;
    create(&other, json!({"group": "a"})).await;
    let cursor = || async {
        query(&ties, &["group"])
            .scroll(5)
            .await
            .unwrap()
            .next
            .unwrap()
    };
    let filtered = query(&ties, &["group"]).filter(field("rank").eq(1));
    for (what, asked) in [
        ("another sort", query(&ties, &["rank"])),
        ("the other direction", query(&ties, &["-group"])),
        ("one more key", query(&ties, &["group", "rank"])),
        ("another filter", filtered),
        ("another register", query(&other, &["group"])),
    ] {
        let refused = asked.scroll_after(cursor().await, 5).await.unwrap_err();
        assert!(
            matches!(refused, DataError::Query(QueryError::CursorOfAnotherQuery)),
            "{what}: {refused:?}"
        );
    }
    assert!(
        query(&ties, &["group"])
            .scroll_after(cursor().await, 6)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn text_that_is_no_cursor_is_malformed() {
    let world = World::create().await;
    let ties = ties(&world).await;
    let real = query(&ties, &["group"])
        .scroll(5)
        .await
        .unwrap()
        .next
        .unwrap()
        .to_string();
    let cut = &real[..real.len() / 2];
    let long = "A".repeat(100_000);
    for text in [
        "",
        "a",
        "!!!",
        cut,
        long.as_str(),
        "' OR 1=1 --",
        "\u{0}",
        "ä",
    ] {
        let asked = query(&ties, &["group"]);
        let refused = asked.scroll_after(Cursor::from(text), 5).await.unwrap_err();
        assert!(
            matches!(refused, DataError::Query(_)),
            "{text:?}: {refused:?}"
        );
    }
    // Each letter of a real one turned into another: refused, or a place in the list; never a failure.
    for place in 0..real.len() {
        let mut bytes = real.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(bytes).unwrap();
        let asked = query(&ties, &["group"]);
        match asked.scroll_after(Cursor::from(&*text), 5).await {
            Ok(_) | Err(DataError::Query(_)) => {}
            Err(other) => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn sizes_and_numbers_of_pages_have_bounds() {
    let world = World::create().await;
    let ties = ties(&world).await;
    for size in [0, 1_001, u32::MAX] {
        let refused = RowQuery::new(&ties).scroll(size).await.unwrap_err();
        assert!(
            matches!(refused, DataError::Query(QueryError::PageSize { .. })),
            "{refused:?}"
        );
    }
    for number in [0, u64::MAX] {
        let refused = RowQuery::new(&ties).page(number, 10).await.unwrap_err();
        assert!(
            matches!(refused, DataError::Query(QueryError::PageNumber { .. })),
            "{refused:?}"
        );
    }
    assert!(
        RowQuery::new(&ties)
            .page(50, 10)
            .await
            .unwrap()
            .rows
            .is_empty()
    );
}

#[tokio::test]
async fn a_total_is_counted_only_where_it_is_asked_for() {
    let world = World::create().await;
    let ties = ties(&world).await;
    let few = || RowQuery::new(&ties).filter(field("rank").eq(1));
    assert!(few().scroll(5).await.unwrap().total.is_none());
    let exact = few()
        .count(Count::Exact)
        .scroll(5)
        .await
        .unwrap()
        .total
        .unwrap();
    let counted = few().count_rows().await.unwrap();
    assert!(exact.is_exact);
    assert_eq!(exact.rows, counted);
    let rough = few()
        .count(Count::Estimated)
        .scroll(5)
        .await
        .unwrap()
        .total
        .unwrap();
    assert!(rough.is_exact || rough.rows < 1_000_000);
}
