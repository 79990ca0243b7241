// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Filters select what they say: every operator on every type, over cells that are indexed and over cells
//! that are not, and what does not fit is refused with its place.

use forktex_data::{
    DataError, FieldDefinition, Filter, FilterProblem, OnDelete, Operator, QueryError, Register,
    RowQuery, field, related,
};
use serde_json::{Value as Json, json};

use crate::fixture::{World, create, draft, many_to_one, matching, matching_json, texts};

/// A field of each type, with three values in order.
fn samples() -> Vec<(&'static str, [Json; 3])> {
    vec![
        ("t", [json!("100%"), json!("1000"), json!("a_b")]),
        ("i", [json!(-3), json!(1), json!(2)]),
        ("d", [json!("-0.1"), json!("1.5"), json!("2")]),
        (
            "day",
            [
                json!("2025-12-31"),
                json!("2026-01-01"),
                json!("2026-01-02"),
            ],
        ),
        (
            "at",
            [
                json!("2026-01-01T00:00:00Z"),
                json!("2026-01-01T00:00:00.000001Z"),
                json!("2026-01-01T01:30:00+01:00"),
            ],
        ),
        ("e", [json!("draft"), json!("late"), json!("paid")]),
        (
            "u",
            [
                json!("00000000-0000-4000-8000-000000000001"),
                json!("00000000-0000-4000-8000-000000000002"),
                json!("A0000000-0000-4000-8000-000000000003"),
            ],
        ),
    ]
}

fn fields() -> Vec<FieldDefinition> {
    vec![
        FieldDefinition::text("t"),
        FieldDefinition::integer("i"),
        FieldDefinition::decimal("d"),
        FieldDefinition::date("day"),
        FieldDefinition::datetime("at"),
        FieldDefinition::one_of("e", ["draft", "late", "paid"]),
        FieldDefinition::uuid("u"),
        FieldDefinition::boolean("b"),
    ]
}

/// Rows `a`, `b`, `c` with the middle, the greatest and the least of each sample; `n` with nulls, and `x`
/// with nothing.
async fn samples_in(world: &World, name: &str, fields: Vec<FieldDefinition>) -> Register {
    let others = [FieldDefinition::text("name"), FieldDefinition::json("j")];
    let register = world
        .with_fields(name, others.into_iter().chain(fields))
        .await;
    let mut rows = Vec::new();
    for (letter, place, is_true) in [("a", 1, true), ("b", 2, true), ("c", 0, false)] {
        let mut row = json!({"name": letter, "b": is_true, "j": {"letter": letter}});
        for (field, values) in samples() {
            row[field] = values[place].clone();
        }
        rows.push(row);
    }
    let mut nulls = json!({"name": "n", "b": null, "j": null});
    for (field, _) in samples() {
        nulls[field] = Json::Null;
    }
    rows.extend([nulls, json!({"name": "x"})]);
    // Made together, their ids are in this order.
    let drafts = rows.into_iter().map(draft).collect();
    register.rows().create_many(drafts).await.unwrap();
    register
}

/// The same rows twice: with no field indexed, and with all of them.
async fn both(world: &World) -> [Register; 2] {
    let plain = samples_in(world, "plain", fields()).await;
    let indexed = fields().into_iter().map(FieldDefinition::indexed).collect();
    let indexed = samples_in(world, "indexed", indexed).await;
    world.maintain().await;
    [plain, indexed.refresh().await.unwrap()]
}

#[tokio::test]
async fn every_operator_selects_what_it_says_on_every_ordered_type() {
    let world = World::create().await;
    for register in both(&world).await {
        for (field, [low, middle, high]) in samples() {
            let mut cases = vec![
                (json!({"field": field, "eq": middle}), "a"),
                (json!({"field": field, "ne": middle}), "bc"),
                (json!({"field": field, "in": [low, high]}), "bc"),
                (json!({"field": field, "in": [middle, middle]}), "a"),
                (json!({"field": field, "in": []}), ""),
                (json!({"field": field, "not_in": [low]}), "ab"),
                (json!({"field": field, "not_in": []}), "abc"),
                (json!({"field": field, "is_empty": true}), "nx"),
                (json!({"field": field, "is_empty": false}), "abc"),
                (json!({"field": field, "is_null": true}), "n"),
                (json!({"field": field, "is_null": false}), "abcx"),
                (json!({"field": field, "is_absent": true}), "x"),
                (json!({"field": field, "is_absent": false}), "abcn"),
                (json!({"not": {"field": field, "eq": middle}}), "bcnx"),
                (json!({"not": {"field": field, "ne": middle}}), "anx"),
                (
                    json!({"not": {"not": {"field": field, "in": [low, high]}}}),
                    "bc",
                ),
            ];
            // UUIDs are the same or not; which is the greater means nothing.
            if field != "u" {
                cases.extend([
                    (json!({"field": field, "lt": middle}), "c"),
                    (json!({"field": field, "lte": middle}), "ac"),
                    (json!({"field": field, "gt": middle}), "b"),
                    (json!({"field": field, "gte": middle}), "ab"),
                    (json!({"field": field, "gte": middle, "lt": high}), "a"),
                    (json!({"field": field, "between": [middle, high]}), "ab"),
                    (json!({"field": field, "between": [high, low]}), ""),
                    (json!({"not": {"field": field, "lt": middle}}), "abnx"),
                    (
                        json!({"or": [{"field": field, "lt": middle}, {"field": field, "is_null": true}]}),
                        "cn",
                    ),
                ]);
            }
            for (filter, expected) in cases {
                let found = matching_json(&register, &filter).await.unwrap();
                assert_eq!(found, expected, "{filter} in {register:?}");
            }
        }
    }
}

#[tokio::test]
async fn booleans_and_documents_know_what_is_the_same_and_what_is_empty() {
    let world = World::create().await;
    for register in both(&world).await {
        for (filter, expected) in [
            (json!({"field": "b", "eq": true}), "ab"),
            (json!({"field": "b", "ne": true}), "c"),
            (json!({"field": "b", "in": [true, false]}), "abc"),
            (json!({"field": "b", "not_in": [false]}), "ab"),
            (json!({"field": "b", "is_empty": true}), "nx"),
            (json!({"field": "b", "is_absent": true}), "x"),
            (json!({"field": "j", "is_empty": true}), "nx"),
            (json!({"field": "j", "is_null": true}), "n"),
            (json!({"field": "j", "is_absent": false}), "abcn"),
        ] {
            let found = matching_json(&register, &filter).await.unwrap();
            assert_eq!(found, expected, "{filter} in {register:?}");
        }
    }
}

#[tokio::test]
async fn parts_of_texts_are_found_as_they_are_written() {
    let world = World::create().await;
    for register in both(&world).await {
        for (filter, expected) in [
            (json!({"field": "t", "contains": "0"}), "ac"),
            (json!({"field": "t", "contains": "A"}), ""),
            (json!({"field": "t", "contains": ""}), "abc"),
            (json!({"field": "t", "icontains": "A_B"}), "b"),
            (json!({"field": "t", "icontains": "a%b"}), ""),
            (json!({"field": "t", "starts_with": "100"}), "ac"),
            (json!({"field": "t", "starts_with": "_"}), ""),
            (json!({"field": "t", "starts_with": "%"}), ""),
            (json!({"field": "t", "ends_with": "_b"}), "b"),
            (json!({"field": "t", "ends_with": "\\"}), ""),
            (json!({"field": "t", "fuzzy": "1000"}), "ac"),
            (json!({"not": {"field": "t", "contains": "0"}}), "bnx"),
        ] {
            let found = matching_json(&register, &filter).await.unwrap();
            assert_eq!(found, expected, "{filter} in {register:?}");
        }
    }
}

#[tokio::test]
async fn c63_a_percent_sign_in_contains_is_literal() {
    let world = World::create().await;
    for register in both(&world).await {
        for word in ["contains", "icontains", "starts_with", "ends_with", "eq"] {
            let found = matching_json(&register, &json!({"field": "t", word: "100%"})).await;
            assert_eq!(found.unwrap(), "c", "{word}");
        }
        let found = matching(&register, field("t").contains("100_")).await;
        assert_eq!(found.unwrap(), "");
    }
}

/// What an operator could be given on a field, so that nothing but the operator is wrong.
fn operand(operator: Operator, values: &[Json; 3]) -> Json {
    match operator {
        Operator::IsEmpty | Operator::IsNull | Operator::IsAbsent => json!(true),
        Operator::Between => json!([values[0], values[2]]),
        Operator::In | Operator::NotIn => json!([values[1]]),
        Operator::Contains
        | Operator::Icontains
        | Operator::StartsWith
        | Operator::EndsWith
        | Operator::Fuzzy => json!("a"),
        _ => values[1].clone(),
    }
}

#[tokio::test]
async fn c63_an_operator_that_the_type_lacks_is_invalid() {
    let world = World::create().await;
    let [register, _] = both(&world).await;
    let mut samples = samples();
    samples.push(("b", [json!(false), json!(true), json!(true)]));
    samples.push(("j", [json!({}), json!([1]), json!("a")]));
    let mut refused = 0;
    for (field, values) in samples {
        let known = register.field(field).unwrap().capabilities();
        for operator in Operator::ALL {
            let filter =
                json!({"and": [{"field": field, operator.word(): operand(operator, &values)}]});
            let outcome = matching_json(&register, &filter).await;
            if known.allows(operator) {
                assert!(outcome.is_ok(), "{filter}: {outcome:?}");
                continue;
            }
            refused += 1;
            let Err(DataError::Query(QueryError::Filter { path, problem })) = outcome else {
                panic!("{filter}: {outcome:?}");
            };
            assert!(path.starts_with("/and/0"), "{filter}: {path}");
            assert!(
                matches!(problem, FilterProblem::Misfit { .. }),
                "{filter}: {problem:?}"
            );
        }
    }
    assert!(refused > 30, "{refused} were refused");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_place() {
    let world = World::create().await;
    let [register, _] = both(&world).await;
    for (filter, place) in [
        (json!({"field": "nothing", "eq": 1}), "/field"),
        (
            json!({"and": [{"field": "i", "eq": 1}, {"field": "ii", "eq": 1}]}),
            "/and/1/field",
        ),
        (json!({"not": {"field": "i", "eq": "1"}}), "/not/eq"),
        (json!({"field": "i", "in": [1, "two"]}), "/in/1"),
        (json!({"field": "i", "eq": true}), "/eq"),
        (json!({"field": "i", "eq": null}), "/eq"),
        (
            json!({"field": "day", "between": ["2026-01-01", "2026-02-30"]}),
            "/between/1",
        ),
        (json!({"field": "at", "lt": "yesterday"}), "/lt"),
        (json!({"field": "u", "eq": "12"}), "/eq"),
        (json!({"field": "t", "eq": 12}), "/eq"),
        (json!({"field": "b", "eq": "true"}), "/eq"),
        (json!({"field": "d", "gt": "1,5"}), "/gt"),
        (json!({"field": "t", "like": "a"}), "/like"),
        (
            json!({"related": "nobody", "where": {"and": []}}),
            "/related",
        ),
    ] {
        let refused = matching_json(&register, &filter).await.unwrap_err();
        let DataError::Query(error) = &refused else {
            panic!("{filter}: {refused:?}");
        };
        let told = error.path().unwrap();
        assert!(
            told == place || place.starts_with(told) && !told.is_empty(),
            "{filter}: {told} instead of {place}"
        );
    }
}

#[tokio::test]
async fn rows_are_found_by_what_every_row_has() {
    let world = World::create().await;
    let register = world
        .with_fields("notes", [FieldDefinition::text("name")])
        .await;
    let first = create(&register, json!({"name": "a"})).await;
    let second = register
        .rows()
        .upsert("ref-2", draft(json!({"name": "b"})))
        .await;
    let second = second.unwrap().row;
    let changed = draft(json!({"name": "c"}));
    register.rows().patch(second.id, changed).await.unwrap();
    for (filter, expected) in [
        (json!({"field": "id", "eq": first.id}), "a"),
        (json!({"field": "id", "in": [first.id, second.id]}), "ac"),
        (json!({"field": "external_ref", "eq": "ref-2"}), "c"),
        (json!({"field": "external_ref", "is_empty": true}), "a"),
        (json!({"field": "version", "gt": 1}), "c"),
        (
            json!({"field": "created_at", "gt": "2020-01-01T00:00:00Z"}),
            "ac",
        ),
        (
            json!({"field": "created_at", "lt": "2020-01-01T00:00:00Z"}),
            "",
        ),
        (
            json!({"field": "updated_at", "gte": "2020-01-01T00:00:00Z"}),
            "ac",
        ),
    ] {
        assert_eq!(
            matching_json(&register, &filter).await.unwrap(),
            expected,
            "{filter}"
        );
    }
}

#[tokio::test]
async fn rows_are_found_by_the_rows_that_they_are_related_to() {
    let world = World::create().await;
    let clients = world
        .with_fields("clients", [FieldDefinition::text("name").indexed()])
        .await;
    let invoices = world
        .with_fields("invoices", [FieldDefinition::text("name")])
        .await;
    let by = many_to_one("client", "clients", "invoices", OnDelete::Restrict);
    let invoices = world.refer(&invoices, by).await;
    let clients = clients.refresh().await.unwrap();
    let acme = create(&clients, json!({"name": "A"})).await.id;
    let other = create(&clients, json!({"name": "B"})).await.id;
    create(&invoices, json!({"name": "1", "client": acme})).await;
    create(&invoices, json!({"name": "2", "client": other})).await;
    create(&invoices, json!({"name": "3"})).await;
    for (filter, expected) in [
        (field("client").eq(acme), "1"),
        (field("client").is_in([acme, other]), "12"),
        (field("client").is_empty(), "3"),
        (!field("client").is_empty(), "12"),
        (related("client", field("name").eq("A")), "1"),
        (!related("client", field("name").eq("A")), "23"),
        (related("client", Filter::all()), "12"),
        (
            field("name").eq("3") | related("client", field("name").gt("A")),
            "23",
        ),
    ] {
        let json = filter.to_json();
        assert_eq!(
            matching(&invoices, filter).await.unwrap(),
            expected,
            "{json}"
        );
        assert_eq!(
            matching_json(&invoices, &json).await.unwrap(),
            expected,
            "{json} read back"
        );
    }
    let billed = related("invoices", field("name").eq("2"));
    assert_eq!(matching(&clients, billed).await.unwrap(), "B");
    clients.rows().archive(acme).await.unwrap();
    let of_archived = related("client", field("name").eq("A"));
    assert_eq!(
        matching(&invoices, of_archived).await.unwrap(),
        "",
        "archived rows are left out"
    );
}

/// Empties come last when ascending and first when descending; ties end with the id.
#[tokio::test]
async fn an_order_is_total_with_empties_at_the_great_end() {
    let world = World::create().await;
    for register in both(&world).await {
        for (field, _) in samples() {
            for (key, expected) in [(field.to_owned(), "cabnx"), (format!("-{field}"), "xnbac")] {
                let found = RowQuery::new(&register)
                    .order_by(key.clone())
                    .scroll(10)
                    .await
                    .unwrap();
                assert_eq!(texts(&found, "name"), expected, "{key} in {register:?}");
            }
        }
        let by_two = RowQuery::new(&register)
            .order_by("-b")
            .order_by("name")
            .scroll(10)
            .await;
        assert_eq!(texts(&by_two.unwrap(), "name"), "nxabc");
        let refused = RowQuery::new(&register)
            .order_by("j")
            .scroll(10)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, DataError::Query(QueryError::NotSortable { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn facets_groups_and_aggregates_count_what_matches() {
    use forktex_data::{Aggregate, Value};

    let world = World::create().await;
    for register in both(&world).await {
        let found = RowQuery::new(&register)
            .filter(field("name").ne("c"))
            .facets(["b", "e"])
            .aggregate(Aggregate::sum("i").named("sum"))
            .aggregate(Aggregate::max("d").named("most"))
            .aggregate(Aggregate::min("day").named("first"))
            .scroll(1)
            .await
            .unwrap();
        let counts = |name: &str| -> Vec<(Option<String>, u64)> {
            let values = found.facets[name].iter();
            let mut counts: Vec<_> = values
                .map(|value| {
                    (
                        value
                            .value
                            .as_ref()
                            .map(|value| value.to_json().to_string()),
                        value.count,
                    )
                })
                .collect();
            counts.sort();
            counts
        };
        assert_eq!(counts("b"), [(None, 2), (Some("true".to_owned()), 2)]);
        assert_eq!(
            counts("e"),
            [
                (None, 2),
                (Some("\"late\"".to_owned()), 1),
                (Some("\"paid\"".to_owned()), 1)
            ]
        );
        let aggregate = |name: &str| found.aggregates[name].as_ref().map(Value::to_json);
        assert_eq!(aggregate("sum").unwrap().to_string().trim_matches('"'), "3");
        assert_eq!(aggregate("most"), Some(json!("2")));
        assert_eq!(aggregate("first"), Some(json!("2026-01-01")));

        let grouped = RowQuery::new(&register)
            .group_by(["b"])
            .aggregate(Aggregate::sum("i").named("sum"))
            .page(1, 10)
            .await
            .unwrap();
        let mut groups: Vec<(String, u64, String)> = grouped
            .groups
            .iter()
            .map(|group| {
                let json = |value: &Option<Value>| {
                    value
                        .as_ref()
                        .map_or(Json::Null, Value::to_json)
                        .to_string()
                };
                (
                    json(&group.keys["b"]),
                    group.count,
                    json(&group.aggregates["sum"]).replace('"', ""),
                )
            })
            .collect();
        groups.sort();
        let expected = [("false", 1, "-3"), ("null", 2, "null"), ("true", 2, "3")];
        let expected = expected.map(|(key, count, sum)| (key.to_owned(), count, sum.to_owned()));
        assert_eq!(groups, expected);
    }
}
