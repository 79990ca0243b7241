// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Kinds of computed fields, what is refused, and what depends on what.

use super::*;
use crate::keys::RelationshipKey;
use crate::relationship::{Cardinality, OnDelete};

const CLIENTS: RegisterKey = RegisterKey(1);
const INVOICES: RegisterKey = RegisterKey(2);

/// Invoices that have a client.
fn relationships() -> Vec<Relationship> {
    vec![Relationship {
        key: RelationshipKey(1),
        name: "client".to_owned(),
        inverse_name: "invoices".to_owned(),
        source: INVOICES,
        source_name: "invoices".to_owned(),
        target: CLIENTS,
        target_name: "clients".to_owned(),
        cardinality: Cardinality::ManyToOne,
        on_delete: OnDelete::Restrict,
    }]
}

fn own_kind(definition: &FieldDefinition) -> Option<ValueKind> {
    match definition.field_type {
        FieldType::Text(_) => Some(ValueKind::Text),
        FieldType::Integer(_) => Some(ValueKind::Integer),
        FieldType::Decimal(_) => Some(ValueKind::Decimal),
        FieldType::Boolean => Some(ValueKind::Boolean),
        FieldType::Reference { .. } => Some(ValueKind::Uuid),
        _ => None,
    }
}

/// The fields of the clients have the keys from 101, those of the invoices from 201.
fn build(clients: &[FieldDefinition], invoices: &[FieldDefinition]) -> Result<Graph, DataError> {
    let relationships = relationships();
    let registers = [
        GraphRegister {
            key: CLIENTS,
            name: "clients",
            fields: (101..).map(FieldKey).zip(clients).collect(),
            relationships: &relationships,
        },
        GraphRegister {
            key: INVOICES,
            name: "invoices",
            fields: (201..).map(FieldKey).zip(invoices).collect(),
            relationships: &relationships,
        },
    ];
    Graph::build(&registers, &own_kind)
}

fn refusal(clients: &[FieldDefinition], invoices: &[FieldDefinition]) -> String {
    build(clients, invoices).unwrap_err().to_string()
}

fn sum(name: &str, field: &str) -> FieldDefinition {
    FieldDefinition::rollup(name, "invoices", Rollup::Sum(field.to_owned()))
}

#[test]
fn a_chain_over_registers_has_its_kinds() {
    let graph = build(
        &[
            FieldDefinition::text("name"),
            sum("total", "gross"),
            FieldDefinition::rollup("count", "invoices", Rollup::Count),
            FieldDefinition::rollup("average", "invoices", Rollup::Average("net".to_owned())),
            FieldDefinition::rollup("is_known", "invoices", Rollup::Exists),
            FieldDefinition::formula("is_large", "total > 1000"),
        ],
        &[
            FieldDefinition::integer("net"),
            FieldDefinition::formula("gross", "net * 1.2"),
            FieldDefinition::lookup("client_name", "client", "name"),
            FieldDefinition::lookup("client_is_large", "client", "is_large"),
            FieldDefinition::reference("client"),
        ],
    )
    .unwrap();
    let kinds = |first: i64, count: i64| -> Vec<ValueKind> {
        let keys = (first..first + count).map(FieldKey);
        keys.filter_map(|key| graph.kind(key)).collect()
    };
    assert_eq!(
        kinds(101, 6),
        [
            ValueKind::Text,
            ValueKind::Decimal,
            ValueKind::Integer,
            ValueKind::Decimal,
            ValueKind::Boolean,
            ValueKind::Boolean,
        ]
    );
    assert_eq!(
        kinds(201, 4),
        [
            ValueKind::Integer,
            ValueKind::Decimal,
            ValueKind::Text,
            ValueKind::Boolean,
        ]
    );
    // net -> gross -> total -> is_large -> client_is_large, and net -> average.
    assert_eq!(
        graph.downstream(FieldKey(201)),
        [
            (CLIENTS, FieldKey(102)),
            (CLIENTS, FieldKey(104)),
            (CLIENTS, FieldKey(106)),
            (INVOICES, FieldKey(202)),
            (INVOICES, FieldKey(204)),
        ]
    );
    assert_eq!(
        graph.dependents_names(FieldKey(201)),
        ["clients.average", "invoices.gross"]
    );
}

#[test]
fn a_circle_is_refused_with_its_way() {
    let text = refusal(
        &[sum("total", "share")],
        &[
            FieldDefinition::lookup("client_total", "client", "total"),
            FieldDefinition::formula("share", "client_total / 2"),
        ],
    );
    assert!(
        text.contains("clients.total -> invoices.share -> invoices.client_total -> clients.total"),
        "{text}"
    );
    let text = refusal(&[], &[FieldDefinition::formula("x", "x + 1")]);
    assert!(text.contains("invoices.x -> invoices.x"), "{text}");
}

#[test]
fn a_chain_that_is_too_long_is_refused() {
    let chain = |length: usize| -> Vec<FieldDefinition> {
        let first = FieldDefinition::formula("f0", "1");
        let others = (1..length)
            .map(|at| FieldDefinition::formula(format!("f{at}"), format!("f{} + 1", at - 1)));
        std::iter::once(first).chain(others).collect()
    };
    assert!(build(&[], &chain(COMPUTED_DEPTH_MAX)).is_ok());
    let mut longer = chain(COMPUTED_DEPTH_MAX + 1);
    let text = refusal(&[], &longer);
    assert!(text.contains("more than 32"), "{text}");
    // From the other end it is met at another place, and refused all the same.
    longer.reverse();
    assert!(refusal(&[], &longer).contains("more than 32"));
}

#[test]
fn what_is_not_there_is_refused_with_a_similar_name() {
    let net = FieldDefinition::integer("net");
    let lookup = FieldDefinition::lookup("x", "clint", "name");
    let text = refusal(&[], &[lookup]);
    assert!(
        text.contains("`invoices.x`") && text.contains("`client`"),
        "{text}"
    );

    let lookup = FieldDefinition::lookup("x", "client", "nam");
    let text = refusal(&[FieldDefinition::text("name")], &[lookup]);
    assert!(
        text.contains("`clients.nam`") && text.contains("`name`"),
        "{text}"
    );

    let text = refusal(&[], &[net, FieldDefinition::formula("x", "nett + 1")]);
    assert!(
        text.contains("`invoices.x`") && text.contains("`net`"),
        "{text}"
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let many = FieldDefinition::lookup("x", "invoices", "net");
    let text = refusal(&[many], &[FieldDefinition::integer("net")]);
    assert!(text.contains("leads to many rows"), "{text}");

    let text = refusal(&[sum("x", "note")], &[FieldDefinition::text("note")]);
    assert!(text.contains("no numbers"), "{text}");

    let greatest = FieldDefinition::rollup("x", "invoices", Rollup::Max("paid".to_owned()));
    let text = refusal(&[greatest], &[FieldDefinition::boolean("paid")]);
    assert!(text.contains("no order"), "{text}");

    let text = refusal(
        &[sum("x", "client")],
        &[FieldDefinition::reference("client")],
    );
    assert!(text.contains("it is a reference"), "{text}");

    let formula = FieldDefinition::formula("x", "is_empty(client)");
    let text = refusal(&[], &[FieldDefinition::reference("client"), formula]);
    assert!(text.contains("look-up"), "{text}");
}
