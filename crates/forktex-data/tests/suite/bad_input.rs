// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Bad input ends in a typed error that names the place, and nothing is half written.

use std::ops::RangeInclusive;

use std::time::{Duration, Instant};

use forktex_data::{
    CellProblem, DataError, DataErrorKind, Draft, FieldDefinition, ImportError, ImportFormat,
    OnError, RecordProblem, Register, RegisterDefinition, RowProblem, RowQuery, SchemaDocument,
    StructureProblem, Value, field,
};
use serde_json::{Value as Json, json};

use crate::fixture::{World, create, definition, draft, many_to_one};

/// Longer than any answer to bad input takes on a busy machine.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

async fn everything(world: &World) -> Register {
    let fields = [
        FieldDefinition::text("name").required().length(1..=10),
        FieldDefinition::text("code").pattern("^[A-Z]{2}$"),
        FieldDefinition::integer("count").range(1, 10),
        FieldDefinition::decimal("total").scale(2),
        FieldDefinition::boolean("is_paid"),
        FieldDefinition::date("day"),
        FieldDefinition::datetime("at"),
        FieldDefinition::uuid("key"),
        FieldDefinition::one_of("status", ["draft", "paid"]),
        FieldDefinition::json("extra"),
        FieldDefinition::text("long"),
        FieldDefinition::text("short").indexed(),
        FieldDefinition::number("number"),
        FieldDefinition::formula("twice", "count * 2"),
    ];
    world.with_fields("things", fields).await
}

/// All the problems of a refused row, by field.
fn problems(refused: &DataError) -> Vec<(String, CellProblem)> {
    let DataError::Row { register, problems } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(register, "things");
    assert_eq!(refused.kind(), DataErrorKind::Invalid);
    let named = problems
        .iter()
        .map(|(field, problem)| (field.to_owned(), problem.clone()));
    named.collect()
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_refused_with_its_field() {
    let world = World::create().await;
    let things = everything(&world).await;
    let kept = create(&things, json!({"name": "kept"})).await;
    let before = world.snapshot().await;
    let long = "x".repeat(10_001);
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("elevenchars")),
        ("name", json!(12)),
        ("name", json!(null)),
        ("name", json!(["a"])),
        ("name", json!({"a": 1})),
        ("name", json!("a\u{0}b")),
        ("code", json!("abc")),
        ("code", json!("AB\n")),
        ("count", json!(0)),
        ("count", json!(11)),
        ("count", json!(1.5)),
        ("count", json!("3")),
        ("count", json!(true)),
        ("count", json!(1e300)),
        ("count", json!(u64::MAX)),
        ("total", json!("1.234")),
        ("total", json!(1.25)),
        ("total", json!("1,50")),
        ("total", json!("NaN")),
        ("total", json!("1e5")),
        ("total", json!("")),
        ("total", json!("123456789012345678901234567890")),
        ("is_paid", json!("true")),
        ("is_paid", json!(1)),
        ("day", json!("2026-02-30")),
        ("day", json!("01.02.2026")),
        ("day", json!("2026-1-1")),
        ("day", json!("2026-01-01T00:00:00Z")),
        ("day", json!(20_260_101)),
        ("at", json!("2026-01-01")),
        ("at", json!("2026-01-01T00:00:00")),
        ("at", json!("2026-01-01T25:00:00Z")),
        ("at", json!("2026-01-01T00:00:00.0000001Z")),
        ("key", json!("not a uuid")),
        ("key", json!("00000000000040008000000000000001")),
        ("status", json!("lost")),
        ("status", json!("Draft")),
        ("extra", json!({"a": "b\u{0}"})),
        ("extra", json!("x".repeat(300_000))),
        ("long", json!(long)),
        ("short", json!("x".repeat(513))),
        ("number", json!(7)),
        ("twice", json!(4)),
        ("id", json!("00000000-0000-4000-8000-000000000001")),
        ("version", json!(9)),
        ("created_at", json!("2026-01-01T00:00:00Z")),
    ] {
        let mut row = json!({"name": "n"});
        row[field] = value.clone();
        let told: String = value.to_string().chars().take(60).collect();
        let refused = things.rows().create(draft(row.clone())).await.unwrap_err();
        let found = problems(&refused);
        assert_eq!(found.len(), 1, "{field} {told}: {found:?}");
        assert_eq!(found[0].0, field, "{told}");
        let mut change = json!({});
        change[field] = value;
        let refused = things
            .rows()
            .patch(kept.id, draft(change))
            .await
            .unwrap_err();
        assert_eq!(problems(&refused)[0].0, field, "{told} in a patch");
        let replaced = things
            .rows()
            .replace(kept.id, draft(row))
            .await
            .unwrap_err();
        assert_eq!(problems(&replaced)[0].0, field, "{told} in a replacement");
    }
    assert_eq!(world.snapshot().await, before, "nothing was written");

    // However deep a document is: it is refused, or kept and read back.
    let deep = json!({"name": "n", "extra": deep});
    match things.rows().create(draft(deep.clone())).await {
        Ok(row) => {
            let read = things.rows().get(row.id).await.unwrap();
            assert_eq!(
                read.get("extra").map(Value::to_json),
                Some(deep["extra"].clone())
            );
        }
        Err(refused) => assert_eq!(problems(&refused)[0].0, "extra"),
    }
}

#[tokio::test]
async fn all_that_is_wrong_with_a_row_is_told_at_once() {
    let world = World::create().await;
    let things = everything(&world).await;
    let before = world.snapshot().await;
    let row =
        json!({"count": "x", "total": "1.234", "statu": "draft", "status": "lost", "twice": 1});
    let refused = things.rows().create(draft(row)).await.unwrap_err();
    let mut found = problems(&refused);
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(
        fields,
        ["count", "name", "statu", "status", "total", "twice"]
    );
    let of = |field: &str| {
        found
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, problem)| problem)
    };
    assert!(matches!(of("name"), Some(CellProblem::Required)));
    assert!(matches!(of("count"), Some(CellProblem::WrongType { .. })));
    assert!(matches!(of("twice"), Some(CellProblem::ReadOnly)));
    assert!(matches!(
        of("status"),
        Some(CellProblem::NotAnOption { .. })
    ));
    let Some(CellProblem::UnknownField { nearest }) = of("statu") else {
        panic!("{found:?}");
    };
    assert_eq!(nearest.as_deref(), Some("status"));
    assert_eq!(world.snapshot().await, before);
}

/// What was sent is in no error, not even in its `Debug`.
#[tokio::test]
async fn errors_do_not_repeat_what_was_sent() {
    let world = World::create().await;
    let things = everything(&world).await;
    let secret = "hunter2";
    for row in [
        json!({"name": "n", "count": secret}),
        json!({"name": "n", "status": secret}),
        json!({"name": "n", "code": secret}),
        json!({"name": secret.repeat(10)}),
        json!({"name": "n", "day": secret}),
    ] {
        let refused = things.rows().create(draft(row)).await.unwrap_err();
        let told = format!("{refused} {refused:?}");
        assert!(!told.contains(secret), "{told}");
    }
    let unique = world
        .with_fields("uniques", [FieldDefinition::text("name").unique()])
        .await;
    create(&unique, json!({"name": secret})).await;
    let refused = unique
        .rows()
        .create(draft(json!({"name": secret})))
        .await
        .unwrap_err();
    let told = format!("{refused} {refused:?}");
    assert!(!told.contains(secret), "{told}");
    let filter = field("name").gt(secret);
    assert!(!format!("{filter:?}").contains(secret));
}

#[tokio::test]
async fn a_cell_of_ten_mebibytes_and_a_row_of_more_are_refused() {
    let world = World::create().await;
    let things = everything(&world).await;
    let before = world.snapshot().await;
    let large = "x".repeat(10 * 1024 * 1024);
    for (field, value) in [
        ("long", json!(large)),
        ("extra", json!(large)),
        ("extra", json!({"a": [large]})),
        ("name", json!(large)),
        ("code", json!(large)),
        ("key", json!(large)),
        ("day", json!(large)),
        ("total", json!("1".repeat(10 * 1024 * 1024))),
    ] {
        let mut row = json!({"name": "n"});
        row[field] = value;
        let began_at = Instant::now();
        let refused = things.rows().create(draft(row)).await.unwrap_err();
        assert_eq!(problems(&refused)[0].0, field);
        assert!(
            refused.to_string().len() < 1_000,
            "the error is no copy of the cell"
        );
        assert!(began_at.elapsed() < ANSWER_TIME_MAX);
    }
    assert_eq!(world.snapshot().await, before);

    // Each cell is small enough, and all of them together are not.
    let fields = (0..120).map(|n| FieldDefinition::text(format!("t{n}")).length(0..=10_000));
    let wide = world.with_fields("wide", fields).await;
    let before = world.snapshot().await;
    let row = (0..120).fold(Draft::new(), |draft, n| {
        draft.set(format!("t{n}"), "y".repeat(10_000))
    });
    let refused = wide.rows().create(row).await.unwrap_err();
    assert!(
        matches!(
            refused.kind(),
            DataErrorKind::Invalid | DataErrorKind::LimitReached
        ),
        "{refused:?}"
    );
    assert_eq!(world.snapshot().await, before);
}

/// A pattern that takes other engines years.
#[tokio::test]
async fn a_pattern_cannot_run_away() {
    let world = World::create().await;
    let fields = [FieldDefinition::text("name")
        .pattern("^(a+)+$")
        .length(0..=100_000)];
    let register = world.with_fields("patterns", fields).await;
    let began_at = Instant::now();
    let evil = format!("{}!", "a".repeat(50_000));
    let refused = register
        .rows()
        .create(draft(json!({"name": evil})))
        .await
        .unwrap_err();
    assert!(matches!(refused, DataError::Row { .. }), "{refused:?}");
    create(&register, json!({"name": "a".repeat(50_000)})).await;
    assert!(
        began_at.elapsed() < ANSWER_TIME_MAX,
        "{:?}",
        began_at.elapsed()
    );
}

#[tokio::test]
async fn a_definition_that_makes_no_sense_is_refused_with_its_field() {
    let world = World::create().await;
    let things = everything(&world).await;
    let before = world.snapshot().await;
    let long_name = "n".repeat(64);
    for bad in [
        FieldDefinition::text("name"),
        FieldDefinition::text(""),
        FieldDefinition::text("Upper"),
        FieldDefinition::text("with space"),
        FieldDefinition::text("1st"),
        FieldDefinition::text("ä"),
        FieldDefinition::text(long_name),
        FieldDefinition::text("version"),
        FieldDefinition::text("p").pattern("("),
        FieldDefinition::text("p").pattern("a".repeat(501)),
        FieldDefinition::text("p").pattern("(a{1000}){1000}"),
        FieldDefinition::text("p").pattern(r"(?=a)b"),
        FieldDefinition::text("l").length(RangeInclusive::new(5, 4)),
        FieldDefinition::text("l").length(0..=100_001),
        FieldDefinition::text("l").length(0..=513).indexed(),
        FieldDefinition::text("l").length(0..=513).unique(),
        FieldDefinition::integer("i").range(2, 1),
        FieldDefinition::integer("i").searchable(),
        FieldDefinition::integer("i").default_value("a"),
        FieldDefinition::decimal("d").scale(29),
        FieldDefinition::boolean("b").unique(),
        FieldDefinition::json("j").indexed(),
        FieldDefinition::json("j").unique(),
        FieldDefinition::one_of("e", Vec::<String>::new()),
        FieldDefinition::one_of("e", ["a", "a"]),
        FieldDefinition::one_of("e", (0..1_001).map(|n| n.to_string()).collect::<Vec<_>>()),
        FieldDefinition::one_of("e", ["a"]).default_value("b"),
        FieldDefinition::reference("nobody"),
        FieldDefinition::lookup("l", "nobody", "name"),
        FieldDefinition::custom("c", "unheard_of"),
        FieldDefinition::formula("f", ""),
        FieldDefinition::formula("f", "count +"),
        FieldDefinition::formula("f", "nothing"),
        FieldDefinition::formula("f", "name + 1"),
        FieldDefinition::formula("f", "f + 1"),
        FieldDefinition::formula("f", "twice("),
        FieldDefinition::formula("f", format!("{}1{}", "(".repeat(200), ")".repeat(200))),
        FieldDefinition::formula("f", format!("1{}", " + 1".repeat(2_000))),
        FieldDefinition::formula("f", "count").required(),
    ] {
        let name = bad.name.clone();
        let began_at = Instant::now();
        let refused = things.add_field(bad.clone()).await.unwrap_err();
        assert!(
            matches!(
                refused.kind(),
                DataErrorKind::Invalid
                    | DataErrorKind::Conflict
                    | DataErrorKind::LimitReached
                    | DataErrorKind::NotFound
            ),
            "{bad:?}: {refused:?}"
        );
        let mut told = refused.to_string();
        let mut cause = std::error::Error::source(&refused);
        while let Some(error) = cause {
            told.push_str(&error.to_string());
            cause = error.source();
        }
        assert!(
            name.is_empty() || told.contains(&name[..name.len().min(60)]),
            "{bad:?}: {told}"
        );
        assert!(began_at.elapsed() < ANSWER_TIME_MAX);
    }
    assert_eq!(world.snapshot().await, before, "nothing was written");
}

#[tokio::test]
async fn a_fault_of_a_formula_is_told_with_its_span() {
    use forktex_data::Formula;

    for (source, part) in [
        ("1 + * 2", "*"),
        ("price * (1 + rate", "("),
        ("'open", "'open"),
        ("a ? b", "?"),
        ("unknown(1)", "unknown"),
    ] {
        let refused = Formula::parse(source).unwrap_err();
        let span = refused.span();
        assert!(
            span.end <= source.len() && span.start <= span.end,
            "{source}: {span:?}"
        );
        assert!(!refused.to_string().is_empty(), "{source} at {part}");
    }
}

#[tokio::test]
async fn a_register_of_ten_thousand_fields_is_refused() {
    let world = World::create().await;
    let before = world.snapshot().await;
    let wide = |count: usize| {
        definition(
            "wide",
            (0..count).map(|n| FieldDefinition::text(format!("f{n}"))),
        )
    };
    let began_at = Instant::now();
    for refused in [
        world.tenant().create_register(wide(10_000)).await.err(),
        world.tenant().create_register(wide(501)).await.err(),
        world
            .tenant()
            .apply(&SchemaDocument::new().register(wide(10_000)))
            .await
            .err(),
    ] {
        let refused = refused.unwrap();
        assert_eq!(refused.kind(), DataErrorKind::LimitReached, "{refused:?}");
        assert!(refused.to_string().contains("500"), "{refused}");
    }
    assert!(began_at.elapsed() < ANSWER_TIME_MAX);
    assert_eq!(world.snapshot().await, before);
    let full = world.register(wide(500)).await;
    let refused = full
        .add_field(FieldDefinition::text("one_more"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), DataErrorKind::LimitReached, "{refused:?}");
    let row = create(&full, json!({"f0": "a", "f499": "z"})).await;
    assert_eq!(row.get("f499"), Some(&Value::from("z")));
}

async fn import(
    register: &Register,
    bytes: &[u8],
    on_error: OnError,
) -> Result<forktex_data::ImportReport, DataError> {
    register
        .import(ImportFormat::Csv, bytes)
        .on_error(on_error)
        .await
}

#[tokio::test]
async fn a_csv_with_broken_quotes_is_told_with_its_line() {
    let world = World::create().await;
    let names = world
        .with_fields(
            "names",
            [FieldDefinition::text("name"), FieldDefinition::text("note")],
        )
        .await;
    let before = world.snapshot().await;
    let broken = b"name,note\na,b\n\"c\"x,d\ne,f\n";
    let refused = import(&names, broken, OnError::Stop).await.unwrap_err();
    let DataError::Import(ImportError::Record { line, problem }) = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(*line, 3);
    assert!(
        matches!(problem, RecordProblem::Quotes { field: 1 }),
        "{problem:?}"
    );
    assert_eq!(world.snapshot().await, before);

    let open = b"name,note\na,b\n\"c,d\ne,f\n";
    for on_error in [OnError::Stop, OnError::Skip] {
        let refused = import(&names, open, on_error).await.unwrap_err();
        let DataError::Import(ImportError::Broken { problem, .. }) = &refused else {
            panic!("{refused:?}");
        };
        assert!(
            matches!(problem, StructureProblem::OpenQuote { line: 3 }),
            "{problem:?}"
        );
    }
    let report = import(&names, broken, OnError::Skip).await.unwrap();
    assert_eq!((report.created, report.failed), (2, 1));
    assert_eq!(report.problems[0].line, 3);
    assert!(matches!(
        report.problems[0].problem,
        RowProblem::Record(RecordProblem::Quotes { .. })
    ));
}

#[tokio::test]
async fn a_csv_in_another_encoding_is_told_with_its_line() {
    let world = World::create().await;
    let names = world
        .with_fields("names", [FieldDefinition::text("name")])
        .await;
    let before = world.snapshot().await;
    let latin = b"name\nplain\nM\xfcller\nlast\n";
    let refused = import(&names, latin, OnError::Stop).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            DataError::Import(ImportError::Record {
                line: 3,
                problem: RecordProblem::Encoding
            })
        ),
        "{refused:?}"
    );
    assert_eq!(world.snapshot().await, before);
    let report = import(&names, latin, OnError::Quarantine).await.unwrap();
    assert_eq!((report.created, report.failed), (2, 1));
    let utf_16: Vec<u8> = "name\nplain\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(import(&names, &utf_16, OnError::Skip).await.is_err());
    let nul = b"name\na\0b\n";
    let report = import(&names, nul, OnError::Skip).await.unwrap();
    assert_eq!((report.created, report.failed), (0, 1), "{report:?}");
}

#[tokio::test]
async fn a_file_of_another_shape_is_refused() {
    let world = World::create().await;
    let names = world
        .with_fields("names", [FieldDefinition::text("name")])
        .await;
    let ragged = b"name\na\nb,c\nd\n";
    let report = import(&names, ragged, OnError::Skip).await.unwrap();
    assert_eq!((report.created, report.failed), (2, 1));
    let endless = format!("name\n\"{}", "x".repeat(2 * 1024 * 1024));
    let refused = import(&names, endless.as_bytes(), OnError::Skip)
        .await
        .unwrap_err();
    assert!(
        matches!(
            &refused,
            DataError::Import(ImportError::Broken {
                problem: StructureProblem::RecordTooLarge { .. }
                    | StructureProblem::OpenQuote { .. },
                ..
            })
        ),
        "{refused:?}"
    );
    for text in [
        "{\"name\": \"a\"",
        "[1, 2]",
        "\"name\"",
        "[{\"name\": \"a\"}, 7]",
        "}{",
    ] {
        let refused = names.import(ImportFormat::Json, text.as_bytes()).await;
        assert!(
            matches!(refused, Err(DataError::Import(_))),
            "{text}: {refused:?}"
        );
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let refused = names.import(ImportFormat::Json, deep.as_bytes()).await;
    assert!(matches!(refused, Err(DataError::Import(_))), "{refused:?}");
    assert_eq!(RowQuery::new(&names).count_rows().await.unwrap(), 2);
}

/// A cyclic formula is refused by whichever door it comes.
#[tokio::test]
async fn a_cyclic_formula_is_refused() {
    let world = World::create().await;
    let register = world
        .with_fields("sums", [FieldDefinition::integer("a")])
        .await;
    let before = world.snapshot().await;
    let circle = || {
        definition(
            "circle",
            [
                FieldDefinition::formula("x", "y + 1"),
                FieldDefinition::formula("y", "z + 1"),
                FieldDefinition::formula("z", "x + 1"),
            ],
        )
    };
    let document = SchemaDocument::new().register(circle());
    for refused in [
        register
            .add_field(FieldDefinition::formula("b", "b"))
            .await
            .err(),
        world.tenant().create_register(circle()).await.err(),
        world.tenant().apply(&document).await.err(),
        world.tenant().apply(&document).dry_run().await.err(),
    ] {
        assert!(refused.is_some());
    }
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn a_draft_is_an_object() {
    for json in [json!(1), json!("a"), json!([{"name": "a"}]), Json::Null] {
        assert!(Draft::try_from(json.clone()).is_err(), "{json}");
    }
}

#[tokio::test]
async fn too_much_of_anything_is_refused() {
    let world = World::create().await;
    let clients = world
        .with_fields("clients", [FieldDefinition::text("name")])
        .await;
    let notes = world
        .with_fields(
            "notes",
            [FieldDefinition::text("name"), FieldDefinition::integer("n")],
        )
        .await;
    let by = many_to_one(
        "client",
        "clients",
        "notes",
        forktex_data::OnDelete::Restrict,
    );
    let notes = world.refer(&notes, by).await;
    create(&clients, json!({"name": "a"})).await;
    let before = world.snapshot().await;
    let drafts = vec![Draft::new(); 10_001];
    let refused = notes.rows().create_many(drafts).await.unwrap_err();
    assert_eq!(refused.kind(), DataErrorKind::LimitReached, "{refused:?}");
    let sorted = (0..9).fold(RowQuery::new(&notes), |query, _| query.order_by("name"));
    assert!(sorted.scroll(10).await.is_err());
    let many = field("n").is_in(0..1_001);
    assert!(RowQuery::new(&notes).filter(many).scroll(10).await.is_err());
    let deep = (0..40).fold(field("n").eq(1), |inner, _| !inner);
    assert!(RowQuery::new(&notes).filter(deep).scroll(10).await.is_err());
    let reference = "r".repeat(256);
    assert!(
        notes
            .rows()
            .create(Draft::new().external_ref(reference))
            .await
            .is_err()
    );
    assert!(
        notes
            .rows()
            .create(Draft::new().external_ref("a\u{0}"))
            .await
            .is_err()
    );
    assert!(
        RowQuery::new(&notes)
            .with_related(["nobody"])
            .scroll(10)
            .await
            .is_err()
    );
    assert!(
        RowQuery::new(&notes)
            .facets(["nobody"])
            .scroll(10)
            .await
            .is_err()
    );
    assert!(
        RowQuery::new(&notes)
            .facets(["client"])
            .scroll(10)
            .await
            .is_err()
    );
    assert!(
        RowQuery::new(&notes).search("a").scroll(10).await.is_err(),
        "no field is searchable"
    );
    assert!(
        world
            .tenant()
            .create_register(RegisterDefinition::new("n".repeat(64)))
            .await
            .is_err()
    );
    assert_eq!(world.snapshot().await, before);
}
