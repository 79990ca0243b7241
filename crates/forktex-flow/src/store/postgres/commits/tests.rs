// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A checkpoint that is committed again while its first commit is still under way.

use std::time::Duration;

use forktex_db::{Db, DbOptions};
use forktex_testkit::TestDatabase;
use serde_json::{Map, Value};

use super::*;
use crate::identifier::{DefinitionId, Epoch, Namespace, NodeName, WorkflowName};
use crate::instance::journal::{Entry, Visit};
use crate::state::delta::Delta;
use crate::store::NewRun;
use crate::store::postgres::schema::migrate;
use crate::store::postgres::statement::DEFAULT_SCHEMA;

fn run() -> NewRun {
    NewRun {
        instance_id: InstanceId::generate(),
        definition_id: DefinitionId(1),
        namespace: Namespace::default(),
        workflow_name: WorkflowName::unchecked("tale.solo"),
        version: 1,
        input: Value::Object(Map::new()),
        metadata: Map::new(),
        triggered_by: "manual".to_owned(),
        idempotency_key: None,
        priority: 0,
        worker_id: None,
        deadline: None,
        birth: None,
    }
}

fn checkpoint(instance_id: InstanceId) -> Checkpoint {
    let at = Visit {
        superstep: 1,
        member: 0,
        node: NodeName::unchecked("only"),
        visit: 1,
    };
    Checkpoint {
        instance_id,
        epoch: Epoch(0),
        first_sequence: 1,
        entries: vec![Entry::NodeCompleted {
            at,
            attempt: 1,
            elapsed: Duration::ZERO,
            delta: Delta::new(),
        }],
        then: Then::Continue,
        is_cancelling: false,
        is_pausing: false,
        is_undoing: false,
        stage: 0,
        children: Vec::new(),
    }
}

#[tokio::test]
async fn a_commit_that_waits_for_an_earlier_one_of_the_same_finds_what_that_wrote() {
    let database = TestDatabase::create().await.unwrap();
    let db = Db::connect(database.owner_url(), DbOptions::new());
    let db = db.await.unwrap();
    migrate(&db, DEFAULT_SCHEMA).await.unwrap();
    let store = PostgresStore::new(db.clone(), DEFAULT_SCHEMA).unwrap();
    let run = run();
    store.start(std::slice::from_ref(&run)).await.unwrap();
    let checkpoint = checkpoint(run.instance_id);

    let mut earlier = db.pool().begin().await.unwrap();
    let written = store.commit_on(&mut earlier, std::slice::from_ref(&checkpoint));
    assert_eq!(written.await.unwrap(), [run.instance_id]);
    let again = tokio::spawn(async move { store.commit_alone(&checkpoint).await });
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let looking = async {
        while !sqlx::query_scalar::<_, bool>(waiting)
            .fetch_one(db.pool())
            .await
            .unwrap()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), looking).await;
    in_time.expect("it does not wait");
    earlier.commit().await.unwrap();
    assert_eq!(again.await.unwrap().unwrap(), Committed::Written);
    let entries = "SELECT count(*) FROM forktex_flow.journal";
    let entries: i64 = sqlx::query_scalar(entries)
        .fetch_one(db.pool())
        .await
        .unwrap();
    assert_eq!(entries, 1);
}
