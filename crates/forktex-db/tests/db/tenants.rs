// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Organisations do not reach each other: neither through a repository, nor past it.

use forktex_db::{Cursor, Db, DbError, Isolation, Model, Query, Transaction, sqlx};
use sqlx::Executor;
use uuid::Uuid;

use crate::models::{Client, Invoice, Models, NewClient, NewInvoice, NewUser, User};
use crate::setup::options;
use crate::wire::counted;

struct TwoOrgs {
    models: Models,
    ours: Uuid,
    theirs: Uuid,
    our_invoice: Invoice,
    their_invoice: Invoice,
}

async fn two_orgs() -> TwoOrgs {
    let models = Models::create().await;
    let (ours, theirs) = (Uuid::now_v7(), Uuid::now_v7());
    let create = async |org: Uuid| {
        let created = models.db.for_org(org).transaction(async |tx| {
            let mut tx = tx.for_org(org).await?;
            tx.repository::<Invoice>()
                .create(NewInvoice::numbered(1))
                .await
        });
        created.await.unwrap()
    };
    let (our_invoice, their_invoice) = (create(ours).await, create(theirs).await);
    TwoOrgs {
        models,
        ours,
        theirs,
        our_invoice,
        their_invoice,
    }
}

/// All the numbers of invoices that plain SQL sees.
async fn seen(tx: &mut Transaction) -> Vec<Uuid> {
    sqlx::query_scalar("SELECT org_id FROM app.invoice ORDER BY id")
        .fetch_all(tx.connection())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_row_of_another_organisation_is_not_found() {
    let orgs = two_orgs().await;
    let (ours, theirs) = (&orgs.our_invoice, &orgs.their_invoice);
    assert_eq!((ours.org_id, theirs.org_id), (orgs.ours, orgs.theirs));
    // As the owner of the tables but a superuser's equal would do: the repository alone must hold.
    let superuser = orgs.models.database.superuser_url();
    let superuser = Db::connect(superuser, options()).await.unwrap();
    for db in [&orgs.models.db, &superuser] {
        let mut tx = db.begin().await.unwrap();
        let mut tx = tx.for_org(orgs.ours).await.unwrap();
        assert_eq!(tx.org(), orgs.ours);
        let mut invoices = tx.repository::<Invoice>();
        assert_eq!(
            invoices.list(Query::new()).await.unwrap(),
            std::slice::from_ref(ours)
        );
        assert_eq!(invoices.count(Invoice::number().eq("1")).await, Ok(1));
        assert_eq!(invoices.get(theirs.id).await, Err(DbError::NotFound));
        assert_eq!(
            invoices.get_for_update(theirs.id).await,
            Err(DbError::NotFound)
        );
        assert_eq!(invoices.find(Invoice::id().eq(theirs.id)).await, Ok(None));
        assert_eq!(
            invoices.exists(Invoice::org_id().eq(orgs.theirs)).await,
            Ok(false)
        );
        assert_eq!(invoices.update(theirs).await, Err(DbError::NotFound));
        let set = invoices.set(theirs.id, [Invoice::number().set("x")]).await;
        assert_eq!(set, Err(DbError::NotFound));
        assert_eq!(invoices.archive(theirs.id).await, Err(DbError::NotFound));
        assert_eq!(invoices.delete(theirs.id).await, Err(DbError::NotFound));
        let all = || Invoice::id().is_in([ours.id, theirs.id]);
        assert_eq!(
            invoices.set_all(all(), [Invoice::number().set("x")]).await,
            Ok(1)
        );
        assert_eq!(invoices.delete_all(all()).await, Ok(1));
    }
}

#[tokio::test]
async fn an_upsert_cannot_take_over_a_row_of_another_organisation() {
    let orgs = two_orgs().await;
    let superuser = orgs.models.database.superuser_url();
    let superuser = Db::connect(superuser, options()).await.unwrap();
    for db in [&orgs.models.db, &superuser] {
        let refused = db
            .transaction(async |tx| {
                let mut tx = tx.for_org(orgs.ours).await?;
                let mut invoices = tx.repository::<Invoice>();
                invoices
                    .upsert(orgs.their_invoice.id, NewInvoice::numbered(9))
                    .await
            })
            .await
            .unwrap_err();
        let is_refused = matches!(
            refused,
            DbError::AlreadyExists { .. } | DbError::Denied { .. }
        );
        assert!(is_refused, "{refused:?}");
    }
    let mut tx = orgs.models.db.begin().await.unwrap();
    let mut tx = tx.for_org(orgs.theirs).await.unwrap();
    let theirs = tx.repository::<Invoice>().get(orgs.their_invoice.id).await;
    assert_eq!(theirs.as_ref(), Ok(&orgs.their_invoice));
}

#[tokio::test]
async fn a_cursor_of_another_organisation_is_refused() {
    let orgs = two_orgs().await;
    let page = async |org: Uuid, after: Option<Cursor>| {
        let page = orgs.models.db.transaction(async |tx| {
            let mut tx = tx.for_org(org).await?;
            let mut invoices = tx.repository::<Invoice>();
            if after.is_none() {
                invoices.create(NewInvoice::numbered(2)).await?;
            }
            invoices
                .scroll(Query::new().limit(1).after(after.clone()))
                .await
        });
        page.await
    };
    let cursor = page(orgs.ours, None).await.unwrap().next_cursor;
    assert!(page(orgs.ours, cursor.clone()).await.is_ok());
    assert!(matches!(
        page(orgs.theirs, cursor).await,
        Err(DbError::Invalid { .. })
    ));
}

/// References name the organisation too, so that a row of ours cannot hang on one of theirs.
#[tokio::test]
async fn a_reference_stays_within_the_organisation() {
    let orgs = two_orgs().await;
    let db = &orgs.models.db;
    let client = async |org: Uuid| {
        let client = db.transaction(async |tx| {
            let mut tx = tx.for_org(org).await?;
            tx.repository::<Client>()
                .create(NewClient { name: "c".into() })
                .await
        });
        client.await.unwrap().id
    };
    let (our_client, their_client) = (client(orgs.ours).await, client(orgs.theirs).await);
    let bill = async |client: Uuid| {
        let bill = db.transaction(async |tx| {
            let mut tx = tx.for_org(orgs.ours).await?;
            let new = NewInvoice {
                client_id: Some(client),
                ..NewInvoice::numbered(client)
            };
            tx.repository::<Invoice>().create(new).await
        });
        bill.await
    };
    assert!(bill(our_client).await.is_ok());
    let refused = bill(their_client).await.unwrap_err();
    assert!(
        matches!(
            refused,
            DbError::Invalid {
                constraint: Some(_),
                ..
            }
        ),
        "{refused:?}"
    );
}

/// The second wall: what a statement sees that forgot the organisation.
#[tokio::test]
async fn the_server_keeps_organisations_apart_as_well() {
    let orgs = two_orgs().await;
    for db in [&orgs.models.db, &orgs.models.owner] {
        let mut tx = db.begin().await.unwrap();
        assert!(
            seen(&mut tx).await.is_empty(),
            "nothing was said, so nothing is seen"
        );
        {
            let mut scoped = tx.for_org(orgs.ours).await.unwrap();
            assert_eq!(seen(scoped.transaction()).await, [orgs.ours]);
        }
        {
            let mut scoped = tx.for_org(orgs.theirs).await.unwrap();
            assert_eq!(seen(scoped.transaction()).await, [orgs.theirs]);
        }
        {
            let mut all = tx.unscoped("the test looks at everything").await.unwrap();
            assert_eq!(seen(all.transaction()).await, [orgs.ours, orgs.theirs]);
            let all = all
                .repository::<Invoice>()
                .list(Query::new())
                .await
                .unwrap();
            assert_eq!(all.len(), 2);
        }
        tx.for_org(orgs.ours).await.unwrap();
        let stolen = sqlx::query(
            "INSERT INTO app.invoice (id, org_id, number, version) VALUES ($1, $2, '7', 1)",
        )
        .bind(Uuid::now_v7())
        .bind(orgs.theirs)
        .execute(tx.connection())
        .await
        .map_err(DbError::from);
        assert!(matches!(stolen, Err(DbError::Denied { .. })), "{stolen:?}");
        tx.rollback().await.unwrap();
        let mut next = db.begin().await.unwrap();
        assert!(
            seen(&mut next).await.is_empty(),
            "the setting ends with its transaction"
        );
    }
}

#[tokio::test]
async fn a_savepoint_restores_whose_rows_it_is_about() {
    let orgs = two_orgs().await;
    let mut tx = orgs.models.db.begin().await.unwrap();
    tx.for_org(orgs.ours).await.unwrap();
    let undone = tx
        .transaction(async |tx| {
            let mut theirs = tx.for_org(orgs.theirs).await?;
            assert_eq!(seen(theirs.transaction()).await, [orgs.theirs]);
            Err::<(), _>(DbError::NotFound)
        })
        .await;
    assert_eq!(undone, Err(DbError::NotFound));
    assert_eq!(seen(&mut tx).await, [orgs.ours]);
    // Told anew, though it was told before the savepoint that was undone.
    let mut theirs = tx.for_org(orgs.theirs).await.unwrap();
    assert_eq!(seen(theirs.transaction()).await, [orgs.theirs]);
    let kept = tx
        .transaction(async |tx| {
            tx.for_org(orgs.ours).await?;
            Ok::<_, DbError>(())
        })
        .await;
    kept.unwrap();
    assert_eq!(seen(&mut tx).await, [orgs.ours]);
}

/// Said with the begin, the organisation costs no round trip; said later, one.
#[tokio::test]
async fn an_organisation_said_with_the_begin_holds_from_the_first_statement() {
    let orgs = two_orgs().await;
    let db = &orgs.models.db;
    let mut tx = db.for_org(orgs.ours).begin().await.unwrap();
    assert_eq!(seen(&mut tx).await, [orgs.ours]);
    drop(tx);
    let seen = db
        .isolation(Isolation::Serializable)
        .retrying(1)
        .for_org(orgs.theirs)
        .acting_as(orgs.ours)
        .transaction(async |tx| Ok::<_, DbError>(seen(tx).await))
        .await;
    assert_eq!(seen, Ok(vec![orgs.theirs]));
}

/// Counted on the wire, once the statements are prepared.
#[tokio::test]
async fn a_tenant_transaction_costs_at_most_one_round_trip_more() {
    let orgs = two_orgs().await;
    let (url, trips) = counted(orgs.models.database.url()).await;
    let db = Db::connect(&url, options().max_connections(1))
        .await
        .unwrap();
    let org = orgs.ours;
    let bare = async || {
        db.transaction(async |tx| tx.repository::<User>().exists(User::age().eq(1)).await)
            .await
    };
    let told_with_begin = async || {
        let told = db.for_org(org).transaction(async |tx| {
            let mut tx = tx.for_org(org).await?;
            tx.repository::<User>().exists(User::age().eq(1)).await
        });
        told.await
    };
    let told_later = async || {
        let told = db.transaction(async |tx| {
            let mut tx = tx.for_org(org).await?;
            tx.repository::<User>().exists(User::age().eq(1)).await
        });
        told.await
    };
    bare().await.unwrap();
    let before = trips.count();
    bare().await.unwrap();
    let of_bare = trips.count() - before;
    told_with_begin().await.unwrap();
    assert_eq!(trips.count() - before, 2 * of_bare);
    told_later().await.unwrap();
    assert_eq!(trips.count() - before, 3 * of_bare + 1);
    assert!(of_bare >= 3, "begin, statement, commit");
}

#[tokio::test]
async fn nobody_owns_what_is_created_for_everyone() {
    let orgs = two_orgs().await;
    let mut tx = orgs.models.db.begin().await.unwrap();
    let mut all = tx.unscoped("the test creates something").await.unwrap();
    let mut invoices = all.repository::<Invoice>();
    for refused in [
        invoices.create(NewInvoice::numbered(5)).await,
        invoices
            .upsert(Uuid::now_v7(), NewInvoice::numbered(5))
            .await,
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("name the organisation with `for_org`"),
            "{refused}"
        );
    }
    // What belongs to no organisation is the same for all.
    let user = all
        .repository::<User>()
        .create(NewUser::named("ada"))
        .await
        .unwrap();
    let mut ours = tx.for_org(orgs.ours).await.unwrap();
    assert_eq!(ours.repository::<User>().get(user.id).await, Ok(user));
}

/// The planner reads the setting once, and finds the organisation's rows by an index, though the
/// statement does not name it.
#[tokio::test]
async fn the_policy_is_served_by_an_index() {
    let orgs = two_orgs().await;
    let owner = &orgs.models.owner;
    let mut tx = owner.begin().await.unwrap();
    tx.unscoped("the test fills the table").await.unwrap();
    let fill = "INSERT INTO app.invoice (id, org_id, number, version)
                SELECT gen_random_uuid(), gen_random_uuid(), '1', 1 FROM generate_series(1, 5000)";
    tx.connection().execute(fill).await.unwrap();
    tx.commit().await.unwrap();
    owner.pool().execute("ANALYZE app.invoice").await.unwrap();

    let mut tx = orgs.models.db.for_org(orgs.ours).begin().await.unwrap();
    let plan: Vec<String> = sqlx::query_scalar("EXPLAIN SELECT number FROM app.invoice")
        .fetch_all(tx.connection())
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("InitPlan"), "{plan}");
    assert!(
        plan.contains("Index Cond") && !plan.contains("Seq Scan"),
        "{plan}"
    );
    assert_eq!(Invoice::INFO.name, "app.invoice");
}
