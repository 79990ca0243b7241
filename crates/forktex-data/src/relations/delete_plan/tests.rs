// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The plan over links in memory: cascades, circles, what restricts deep down, and the bounds.

use super::*;

/// The register of invoices and the like: a number for each.
const CLIENTS: RegisterKey = RegisterKey(1);
const INVOICES: RegisterKey = RegisterKey(2);
const PAYMENTS: RegisterKey = RegisterKey(3);

#[derive(Default)]
struct MemoryLinks {
    rows: BTreeSet<RowRef>,
    links: Vec<IncomingLink>,
    /// What was held, in turn.
    held: Vec<Vec<RowRef>>,
}

impl MemoryLinks {
    fn link(&mut self, source: RowRef, target: RowRef, on_delete: OnDelete) -> &mut Self {
        self.rows.extend([source, target]);
        let source_name = match source.register {
            CLIENTS => "clients",
            INVOICES => "invoices",
            _ => "payments",
        };
        self.links.push(IncomingLink {
            relationship: RelationshipKey(source.register.0 * 10 + target.register.0),
            source,
            target,
            on_delete,
            name: "belongs_to".to_owned(),
            source_name: source_name.to_owned(),
        });
        self
    }

    async fn plan(&mut self, root: RowRef) -> Result<Closure, DataError> {
        plan(self, root.register, "clients", &[root.id]).await
    }
}

#[async_trait]
impl LinkSource for MemoryLinks {
    async fn hold(&mut self, rows: &[RowRef]) -> Result<Vec<RowRef>, DataError> {
        self.held.push(rows.to_vec());
        let there = rows.iter().filter(|row| self.rows.contains(row));
        Ok(there.copied().collect())
    }

    async fn links_to(
        &mut self,
        targets: &[RowRef],
        links_max: usize,
    ) -> Result<Vec<IncomingLink>, DataError> {
        let links = self
            .links
            .iter()
            .filter(|link| targets.contains(&link.target));
        Ok(links.take(links_max).cloned().collect())
    }
}

fn row(register: RegisterKey, number: u128) -> RowRef {
    RowRef {
        register,
        id: Uuid::from_u128(number),
    }
}

fn deleted(closure: &Closure) -> Vec<RowRef> {
    closure.deleted.iter().copied().collect()
}

#[tokio::test]
async fn a_row_without_links_goes_alone() {
    let mut links = MemoryLinks::default();
    let client = row(CLIENTS, 1);
    links.rows.insert(client);
    let closure = links.plan(client).await.unwrap();
    assert_eq!(deleted(&closure), [client]);
    assert!(closure.check("clients").is_ok());
    assert_eq!(closure.summary().rows(), 1);
}

#[tokio::test]
async fn a_row_that_is_not_there_is_not_found() {
    let mut links = MemoryLinks::default();
    let error = links.plan(row(CLIENTS, 1)).await.err().unwrap();
    assert!(matches!(error, DataError::RowNotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_cascade_goes_all_the_way_and_a_set_null_stays() {
    let (client, invoice) = (row(CLIENTS, 1), row(INVOICES, 1));
    let (one, two) = (row(PAYMENTS, 1), row(PAYMENTS, 2));
    let mut links = MemoryLinks::default();
    links
        .link(invoice, client, OnDelete::Cascade)
        .link(one, invoice, OnDelete::Cascade)
        .link(two, invoice, OnDelete::SetNull);
    let closure = links.plan(client).await.unwrap();
    assert_eq!(deleted(&closure), [client, invoice, one]);
    assert_eq!(closure.unlinked, BTreeSet::from([two]));
    let plan = closure.summary();
    assert!(!plan.is_restricted());
    let counts: Vec<(&str, u64)> = plan
        .deleted
        .iter()
        .map(|rows| (rows.register.as_str(), rows.rows))
        .collect();
    assert_eq!(counts, [("clients", 1), ("invoices", 1), ("payments", 1)]);
    assert_eq!(plan.unlinked.len(), 1);
}

#[tokio::test]
async fn a_restrict_deep_down_stops_it_all_and_shows_the_way() {
    let (client, invoice, payment) = (row(CLIENTS, 1), row(INVOICES, 2), row(PAYMENTS, 3));
    let mut links = MemoryLinks::default();
    links
        .link(invoice, client, OnDelete::Cascade)
        .link(payment, invoice, OnDelete::Restrict);
    let closure = links.plan(client).await.unwrap();
    let error = closure.check("clients").unwrap_err();
    let RelationError::Restricted { first, count, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*count, 1);
    assert_eq!(
        (first.register.as_str(), first.row),
        ("payments", RowId::from(payment.id))
    );
    let path: Vec<&str> = first
        .path
        .iter()
        .map(|step| step.register.as_str())
        .collect();
    assert_eq!(path, ["clients", "invoices"]);
    assert!(closure.summary().is_restricted());
}

#[tokio::test]
async fn what_restricts_and_is_deleted_itself_does_not_restrict() {
    let (client, invoice) = (row(CLIENTS, 1), row(INVOICES, 1));
    let payment = row(PAYMENTS, 1);
    let mut links = MemoryLinks::default();
    links
        .link(invoice, client, OnDelete::Cascade)
        .link(payment, client, OnDelete::Restrict)
        .link(payment, invoice, OnDelete::Cascade);
    let closure = links.plan(client).await.unwrap();
    assert_eq!(deleted(&closure), [client, invoice, payment]);
    assert!(closure.check("clients").is_ok());
}

#[tokio::test]
async fn circles_end() {
    let (one, two, three) = (row(CLIENTS, 1), row(CLIENTS, 2), row(CLIENTS, 3));
    let mut links = MemoryLinks::default();
    links
        .link(two, one, OnDelete::Cascade)
        .link(three, two, OnDelete::Cascade)
        .link(one, three, OnDelete::Cascade)
        .link(one, one, OnDelete::Restrict);
    let closure = links.plan(one).await.unwrap();
    assert_eq!(deleted(&closure), [one, two, three]);
    assert!(closure.check("clients").is_ok());
    assert_eq!(links.held.len(), 3);
}

#[tokio::test]
async fn rows_are_held_in_the_order_of_their_keys() {
    let root = row(CLIENTS, 9);
    let mut links = MemoryLinks::default();
    for number in [5, 1, 3] {
        links.link(row(PAYMENTS, number), root, OnDelete::Cascade);
        links.link(row(INVOICES, number), root, OnDelete::Cascade);
    }
    links.plan(root).await.unwrap();
    let held = links.held.last().unwrap();
    assert_eq!(held.len(), 6);
    assert!(held.is_sorted(), "{held:?}");
}

#[tokio::test]
async fn a_row_that_went_meanwhile_is_left_out() {
    let (client, invoice) = (row(CLIENTS, 1), row(INVOICES, 1));
    let mut links = MemoryLinks::default();
    links.link(invoice, client, OnDelete::Cascade);
    links.rows.remove(&invoice);
    let closure = links.plan(client).await.unwrap();
    assert_eq!(deleted(&closure), [client]);
    assert!(closure.check("clients").is_ok());
}

#[tokio::test]
async fn more_than_the_limit_is_refused() {
    let root = row(CLIENTS, 1);
    let mut links = MemoryLinks::default();
    for number in 0..=u128::try_from(DELETE_ROWS_MAX).unwrap() {
        links.link(row(INVOICES, number), root, OnDelete::SetNull);
    }
    let error = links.plan(root).await.err().unwrap();
    assert!(matches!(error, DataError::LimitReached { .. }), "{error}");
}

#[tokio::test]
async fn many_restrictions_are_counted_and_some_listed() {
    let root = row(CLIENTS, 1);
    let mut links = MemoryLinks::default();
    for number in 0..250 {
        links.link(row(INVOICES, number), root, OnDelete::Restrict);
    }
    let plan = links.plan(root).await.unwrap().summary();
    assert_eq!(plan.restrictions, 250);
    assert_eq!(plan.restricted_by.len(), RESTRICTIONS_LISTED_MAX);
}
