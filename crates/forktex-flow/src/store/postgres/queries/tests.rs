// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The plans of lists: each documented filter walks an index, however many runs there are.

use forktex_db::sqlx::{self, Row as _};
use forktex_db::{Db, DbOptions};
use forktex_testkit::TestDatabase;
use serde_json::json;
use time::Duration;

use super::*;
use crate::store::postgres::schema::migrate;

/// A hundred thousand finished runs and a few that live, made by the database.
async fn many() -> (TestDatabase, Db) {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    migrate(&db, DEFAULT_SCHEMA).await.unwrap();
    for sql in [
        "INSERT INTO forktex_flow.instance (
             instance_id, definition_id, namespace, workflow_name, workflow_version, status,
             triggered_by, parent_id, created_at, started_at, finished_at, input, metadata, failure
         )
         SELECT gen_random_uuid(), 1, CASE number % 10 WHEN 0 THEN 'org-' || number % 1000 ELSE '' END,
                'workflow.' || number % 500, 1,
                CASE number % 1000 WHEN 7 THEN 'failed' ELSE 'completed' END,
                CASE number % 1000 WHEN 9 THEN 'schedule' ELSE 'manual' END,
                CASE number % 1000 WHEN 3 THEN gen_random_uuid() END,
                now() - number * interval '1 second', now() - number * interval '1 second', now(),
                jsonb_build_object('link', 'eth-' || number, 'size', number % 7),
                CASE number % 100 WHEN 1 THEN jsonb_build_object('org', number) ELSE '{}' END,
                CASE number % 1000 WHEN 7 THEN '{\"kind\": \"deadline_exceeded\"}'::json END
         FROM generate_series(1, 100000) AS number",
        "INSERT INTO forktex_flow.instance (
             instance_id, definition_id, namespace, workflow_name, workflow_version, status,
             triggered_by, started_at, input, metadata
         )
         SELECT gen_random_uuid(), 1, '', 'workflow.1', 1, 'running', 'manual', now(), '{}', '{}'
         FROM generate_series(1, 50)",
        "INSERT INTO forktex_flow.active (instance_id, definition_id, started_at, ready_at)
         SELECT instance_id, definition_id, now(), now() FROM forktex_flow.instance WHERE status = 'running'",
        "VACUUM ANALYZE forktex_flow.instance, forktex_flow.active",
    ] {
        sqlx::query(sql).execute(db.pool()).await.unwrap();
    }
    (database, db)
}

async fn plan(db: &Db, head: &'static str, request: &PageRequest) -> String {
    let mut composed = Composed::new(DEFAULT_SCHEMA, "EXPLAIN ").unwrap();
    composed.push(head).unwrap();
    composed.filter(&request.filter).unwrap();
    if head == COUNTED {
        composed.push(") AS counted").unwrap();
    } else {
        composed.page(request).unwrap();
    }
    let rows = composed.builder.build().fetch_all(db.pool()).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

/// A filter, and the indexes that may be walked for it.
type Documented = (&'static str, InstanceFilter, &'static [&'static str]);

fn documented(now: OffsetDateTime) -> [Documented; 11] {
    let none = InstanceFilter::default;
    let some = |text: &str| Some(text.to_owned());
    let bad = Some(vec![InstanceStatus::Failed]);
    [
        (
            "workflow",
            InstanceFilter {
                workflow: some("workflow.3"),
                ..none()
            },
            &["instance_by_workflow"],
        ),
        (
            "namespace",
            InstanceFilter {
                namespace: some("org-10"),
                ..none()
            },
            &["instance_by_namespace"],
        ),
        (
            "failed",
            InstanceFilter {
                statuses: bad,
                ..none()
            },
            &["instance_by_bad_end"],
        ),
        (
            "living",
            InstanceFilter {
                statuses: Some(vec![InstanceStatus::Running]),
                ..none()
            },
            &["instance_pkey", "instance_by_creation"],
        ),
        (
            "since",
            InstanceFilter {
                since: Some(now - Duration::minutes(5)),
                ..none()
            },
            &["instance_by_creation"],
        ),
        (
            "trigger",
            InstanceFilter {
                triggers: Some(vec!["schedule".to_owned()]),
                ..none()
            },
            &["instance_by_trigger"],
        ),
        (
            "metadata",
            InstanceFilter {
                metadata: Some(json!({"org": 501})),
                ..none()
            },
            &["instance_by_metadata"],
        ),
        (
            "state",
            InstanceFilter {
                input: Some(json!({"link": "eth-777"})),
                ..none()
            },
            &["instance_by_input"],
        ),
        (
            "parent",
            InstanceFilter {
                parent: Some(InstanceId::generate()),
                ..none()
            },
            &["instance_by_parent"],
        ),
        (
            "retry",
            InstanceFilter {
                retry_of: Some(InstanceId::generate()),
                ..none()
            },
            &["instance_by_retry"],
        ),
        (
            "node",
            InstanceFilter {
                current_nodes: Some(vec!["only".to_owned()]),
                ..none()
            },
            &["instance_pkey", "instance_by_creation"],
        ),
    ]
}

#[tokio::test]
async fn every_documented_filter_walks_an_index() {
    let (_database, db) = many().await;
    let now = OffsetDateTime::now_utc();
    let after = vec![
        Value::Timestamp(now - Duration::hours(1)),
        Value::Uuid(Uuid::nil()),
    ];
    for (name, filter, indexes) in documented(now) {
        for after in [None, Some(after.clone())] {
            let request = PageRequest {
                filter: filter.clone(),
                sort: SortField::CreatedAt,
                direction: Direction::Descending,
                after,
                limit: 10,
            };
            for head in [RUNS, IDENTIFIERS, COUNTED] {
                let plan = plan(&db, head, &request).await;
                let walks = indexes.iter().any(|index| plan.contains(index));
                let reads_all = plan.contains("Seq Scan on instance");
                assert!(walks && !reads_all, "{name}: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn a_list_without_filters_is_read_by_its_order() {
    let (_database, db) = many().await;
    for direction in [Direction::Ascending, Direction::Descending] {
        let request = PageRequest {
            filter: InstanceFilter::default(),
            sort: SortField::CreatedAt,
            direction,
            after: None,
            limit: 50,
        };
        let plan = plan(&db, RUNS, &request).await;
        assert!(plan.contains("instance_by_creation"), "{plan}");
        assert!(!plan.contains("Seq Scan on instance"), "{plan}");
    }
}
