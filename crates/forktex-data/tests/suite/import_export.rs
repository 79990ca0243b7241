// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Rows out of files and into files: what is written is read back as it was, and each fault has its line.

use forktex_data::{
    Cell, DataError, ExportFormat, FieldDefinition, ImportError, ImportFormat, ImportReport,
    OnError, Register, RowQuery, Value, field,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value as Json, json};

use crate::fixture::{World, create, draft};

fn fields() -> Vec<FieldDefinition> {
    vec![
        FieldDefinition::text("name").unique(),
        FieldDefinition::text("note"),
        FieldDefinition::decimal("total").scale(2).indexed(),
        FieldDefinition::integer("count"),
        FieldDefinition::boolean("is_paid"),
        FieldDefinition::date("day"),
        FieldDefinition::datetime("at"),
        FieldDefinition::one_of("status", ["draft", "paid"]),
        FieldDefinition::json("extra"),
    ]
}

async fn bills(world: &World) -> Register {
    world.with_fields("bills", fields()).await
}

async fn csv(
    register: &Register,
    text: &str,
    on_error: OnError,
) -> Result<ImportReport, DataError> {
    register
        .import(ImportFormat::Csv, text.as_bytes())
        .on_error(on_error)
        .await
}

async fn count(register: &Register) -> u64 {
    RowQuery::new(register).count_rows().await.unwrap()
}

async fn by_name(register: &Register, name: &str) -> forktex_data::Row {
    let found = RowQuery::new(register)
        .filter(field("name").eq(name))
        .first()
        .await;
    found.unwrap().unwrap()
}

#[tokio::test]
async fn a_csv_tells_absent_null_and_empty_apart() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let text = "\u{feff}name,note,total,count,is_paid,day,at,status,extra\r\n\
                a,,1.5,3,true,2026-01-02,2026-01-02T03:04:05+01:00,paid,\"{\"\"k\"\": [1, null]}\"\r\n\
                b,\"\",,,,,,,\r\n\
                c,\\N,\\N,,,,,,\r\n\
                \"d, \"\"the\"\"\nlast\",\"two\r\nlines\",,,,,,,\r\n";
    let report = csv(&bills, text, OnError::Stop).await.unwrap();
    assert_eq!(
        (report.rows, report.created, report.failed),
        (4, 4, 0),
        "{report:?}"
    );
    let a = by_name(&bills, "a").await;
    assert_eq!(a.cell("note"), Cell::Absent);
    assert_eq!(a.get("total").map(Value::to_json), Some(json!("1.50")));
    assert_eq!(a.get("is_paid"), Some(&Value::Boolean(true)));
    assert_eq!(
        a.get("extra").map(Value::to_json),
        Some(json!({"k": [1, null]}))
    );
    let at = a.get("at").map(Value::to_json).unwrap();
    assert!(
        at.as_str().unwrap().starts_with("2026-01-02T02:04:05"),
        "{at}"
    );
    let b = by_name(&bills, "b").await;
    assert_eq!(b.cell("note"), Cell::Value(Value::from("")));
    assert_eq!(b.cell("count"), Cell::Absent);
    let c = by_name(&bills, "c").await;
    assert_eq!((c.cell("note"), c.cell("total")), (Cell::Null, Cell::Null));
    let d = by_name(&bills, "d, \"the\"\nlast").await;
    assert_eq!(d.get("note"), Some(&Value::from("two\r\nlines")));
}

#[tokio::test]
async fn json_comes_as_an_array_or_object_by_object() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let array = r#"[{"name": "a", "total": "1.00", "count": 2}, {"name": "b", "note": null}]"#;
    let lines = "{\"name\": \"c\"}\n\n{\"name\": \"d\", \"extra\": {\"k\": 1}}\n";
    for text in [array, lines] {
        let report = bills
            .import(ImportFormat::Json, text.as_bytes())
            .await
            .unwrap();
        assert_eq!((report.created, report.failed), (2, 0), "{report:?}");
    }
    assert_eq!(by_name(&bills, "b").await.cell("note"), Cell::Null);
    assert_eq!(
        by_name(&bills, "d").await.get("extra").map(Value::to_json),
        Some(json!({"k": 1}))
    );
}

/// Five rows of which the second, third and fifth are wrong, each in its own way.
const FAULTY: &str = "name,count\na,1\nb,one\na,2\nc,3\n\"d\",1.5\n";

#[tokio::test]
async fn stop_writes_nothing_at_all_and_names_the_line() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let before = world.snapshot().await;
    let refused = csv(&bills, FAULTY, OnError::Stop).await.unwrap_err();
    let DataError::Import(ImportError::Row { line, problems }) = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(*line, 3);
    assert!(
        problems.iter().any(|(field, _)| field == "count"),
        "{problems:?}"
    );
    assert_eq!(world.snapshot().await, before);

    // A fault that only the database knows, in the last of several batches.
    let many = (0..2_500)
        .map(|n| format!("n{n},1\n"))
        .collect::<Vec<_>>()
        .concat();
    let twice = format!("name,count\n{many}n7,1\n");
    let refused = csv(&bills, &twice, OnError::Stop).await.unwrap_err();
    assert!(matches!(refused, DataError::Import(_)), "{refused:?}");
    assert!(refused.to_string().contains("2502"), "{refused}");
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn skip_writes_the_rest_and_reports_each_row() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let report = csv(&bills, FAULTY, OnError::Skip).await.unwrap();
    assert_eq!(
        (report.rows, report.created, report.failed),
        (5, 2, 3),
        "{report:?}"
    );
    let told: Vec<_> = report
        .problems
        .iter()
        .map(|problem| (problem.line, problem.field.as_deref()))
        .collect();
    assert_eq!(
        told.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [3, 4, 6],
        "{told:?}"
    );
    assert_eq!(told[0].1, Some("count"));
    assert_eq!(told[2].1, Some("count"));
    assert_eq!(count(&bills).await, 2);
    assert!(bills.quarantined(None, None).await.unwrap().is_empty());
}

/// The second batch is made ready while the first is written again.
#[tokio::test]
async fn rows_are_in_the_order_of_the_file_also_where_some_fail() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let many = (0..2_500)
        .map(|n| format!("n{n},{n}\n"))
        .collect::<Vec<_>>()
        .concat();
    let twice = format!("name,count\nn5,-1\n{many}");
    let report = csv(&bills, &twice, OnError::Skip).await.unwrap();
    assert_eq!((report.created, report.failed), (2_500, 1), "{report:?}");
    assert_eq!(report.problems[0].line, 8);
    let rows: Vec<forktex_data::Row> = RowQuery::new(&bills).stream().try_collect().await.unwrap();
    let counts: Vec<i64> = rows
        .iter()
        .filter_map(|row| row.get("count").and_then(Value::as_integer))
        .collect();
    let expected: Vec<i64> = (-1..2_500).filter(|n| *n != 5).collect();
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn quarantine_keeps_what_failed_with_its_problems() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let report = csv(&bills, FAULTY, OnError::Quarantine).await.unwrap();
    assert_eq!((report.created, report.failed), (2, 3));
    let kept = bills.quarantined(None, None).await.unwrap();
    assert_eq!(
        kept.iter().map(|row| row.line).collect::<Vec<_>>(),
        [3, 4, 6]
    );
    assert!(kept.iter().all(|row| row.import_id == report.import_id));
    assert!(kept[0].content.contains("one"), "{}", kept[0].content);
    assert!(
        kept[0].problems.to_string().contains("count"),
        "{}",
        kept[0].problems
    );
    let keys: Vec<i64> = kept.iter().map(|row| row.key).collect();
    assert_eq!(bills.discard_quarantined(&keys).await.unwrap(), 3);
    assert!(bills.quarantined(None, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_dry_run_finds_every_fault_and_writes_nothing() {
    let world = World::create().await;
    let bills = bills(&world).await;
    create(&bills, json!({"name": "c"})).await;
    let before = world.snapshot().await;
    let report = bills
        .import(ImportFormat::Csv, FAULTY.as_bytes())
        .dry_run()
        .await
        .unwrap();
    assert!(report.is_dry_run);
    let lines: Vec<u64> = report.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(
        lines,
        [3, 4, 5, 6],
        "the row that is there already is one of them"
    );
    assert_eq!((report.created, report.failed), (1, 4));
    assert_eq!(world.snapshot().await, before);
}

#[tokio::test]
async fn rows_are_matched_by_a_column() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let first = "name,external_ref,note\na,1,x\nb,2,y\n";
    let report = bills
        .import(ImportFormat::Csv, first.as_bytes())
        .match_by("external_ref")
        .await
        .unwrap();
    assert_eq!((report.created, report.updated), (2, 0));
    let second = "external_ref,note\n2,changed\n";
    let report = bills
        .import(ImportFormat::Csv, second.as_bytes())
        .match_by("external_ref")
        .await
        .unwrap();
    assert_eq!((report.created, report.updated), (0, 1));
    let b = by_name(&bills, "b").await;
    assert_eq!(b.get("note"), Some(&Value::from("changed")));
    assert_eq!((b.external_ref.as_deref(), b.version), (Some("2"), 2));
}

async fn exported(register: &Register, format: ExportFormat) -> Vec<u8> {
    let pieces = register.export(format).stream();
    let pieces: Vec<Vec<u8>> = pieces.try_collect().await.unwrap();
    pieces.concat()
}

/// The cells of all rows by name, as JSON without what is another row's own.
async fn cells(register: &Register) -> Vec<String> {
    let rows: Vec<forktex_data::Row> = RowQuery::new(register)
        .stream()
        .try_collect()
        .await
        .unwrap();
    let mut all: Vec<String> = rows.iter().map(|row| format!("{:?}", told(row))).collect();
    all.sort();
    all
}

/// The cells that are not absent; those without a value are null.
fn told(row: &forktex_data::Row) -> Vec<(String, Option<Json>)> {
    let cell = |(name, cell): (&String, &Cell)| match cell {
        Cell::Absent => None,
        cell => Some((name.clone(), cell.value().map(Value::to_json))),
    };
    row.cells().iter().filter_map(cell).collect()
}

#[tokio::test]
async fn what_is_exported_is_imported_as_it_was() {
    let world = World::create().await;
    let bills = bills(&world).await;
    for row in [
        json!({"name": "plain", "note": "n", "total": "1.00", "count": -3, "is_paid": false,
               "day": "2026-02-28", "at": "2026-02-28T23:59:59.999999Z", "status": "paid"}),
        json!({"name": "odd, \"quoted\"\nand\r\nbroken", "note": "", "extra": {"a": ["ä", null]}}),
        json!({"name": "nulls", "note": null, "total": null, "status": null}),
        json!({"name": "\\N", "note": " spaces "}),
        json!({"name": "=1+1", "note": "\u{feff}"}),
    ] {
        create(&bills, row).await;
    }
    let drafts = (0..1_200).map(|n| draft(json!({"name": format!("many {n}"), "count": n})));
    bills.rows().create_many(drafts.collect()).await.unwrap();
    let expected = cells(&bills).await;
    assert_eq!(expected.len(), 1_205);
    for (export, import) in [
        (ExportFormat::Csv, ImportFormat::Csv),
        (ExportFormat::Json, ImportFormat::Json),
        (ExportFormat::JsonLines, ImportFormat::Json),
    ] {
        let file = exported(&bills, export).await;
        let other = format!("copies_{export:?}").to_lowercase();
        let copies = world.with_fields(&other, fields()).await;
        let report = copies.import(import, &file[..]).await.unwrap();
        assert_eq!(
            (report.created, report.failed),
            (1_205, 0),
            "{export:?}: {report:?}"
        );
        assert_eq!(cells(&copies).await, expected, "{export:?}");
    }
}

#[tokio::test]
async fn an_export_has_the_rows_and_fields_that_were_asked_for() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let rows = [("a", 1), ("b", 2), ("c", 3)];
    let drafts = rows.map(|(name, n)| draft(json!({"name": name, "count": n})));
    bills.rows().create_many(drafts.to_vec()).await.unwrap();
    let export = bills
        .export(ExportFormat::JsonLines)
        .filter(field("count").gte(2))
        .fields(["name"]);
    let pieces: Vec<Vec<u8>> = export.stream().try_collect().await.unwrap();
    let text = String::from_utf8(pieces.concat()).unwrap();
    let names: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["name"].clone())
        .collect();
    assert_eq!(names, ["b", "c"].map(Json::from));
    let refused: Result<Vec<Vec<u8>>, _> = bills
        .export(ExportFormat::Csv)
        .fields(["nothing"])
        .stream()
        .try_collect()
        .await;
    assert!(refused.is_err());
}

/// A file in pieces of any size is the file.
#[tokio::test]
async fn a_file_may_come_byte_by_byte() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let text = "name,note\n\"ä,\"\"x\"\"\",日本\nb,\"two\nlines\"\n";
    let bytes: Vec<std::io::Result<Vec<u8>>> = text.bytes().map(|byte| Ok(vec![byte])).collect();
    let pieces = futures_util::stream::iter(bytes);
    let report = bills
        .import_stream(ImportFormat::Csv, pieces)
        .await
        .unwrap();
    assert_eq!(report.created, 2);
    assert_eq!(
        by_name(&bills, "ä,\"x\"").await.get("note"),
        Some(&Value::from("日本"))
    );
    // A stream that breaks off is told, and leaves nothing.
    let broken = futures_util::stream::iter([Ok(b"name\nc\nd\n".to_vec())]).chain(
        futures_util::stream::iter([Err(std::io::Error::other("cut off"))]),
    );
    let refused = bills
        .import_stream(ImportFormat::Csv, broken)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, DataError::Import(ImportError::Read { .. })),
        "{refused:?}"
    );
    assert_eq!(count(&bills).await, 2);
}

#[tokio::test]
async fn what_is_ours_to_set_is_passed_over_and_told() {
    let world = World::create().await;
    let fields = [
        FieldDefinition::text("name"),
        FieldDefinition::number("number"),
        FieldDefinition::formula("twice", "number * 2"),
    ];
    let register = world.with_fields("numbered", fields).await;
    let text = "id,name,number,twice,created_at,version\nx,a,99,1,never,7\n";
    let report = csv(&register, text, OnError::Stop).await.unwrap();
    let mut ignored = report.ignored_columns.clone();
    ignored.sort();
    assert_eq!(ignored, ["created_at", "id", "number", "twice", "version"]);
    let row = by_name(&register, "a").await;
    assert_eq!(row.get("number"), Some(&Value::Integer(1)));
}

#[tokio::test]
async fn an_unknown_column_is_refused_with_the_one_that_was_meant() {
    let world = World::create().await;
    let bills = bills(&world).await;
    let refused = csv(&bills, "name,totl\na,1\n", OnError::Skip)
        .await
        .unwrap_err();
    let DataError::Import(ImportError::UnknownColumn {
        column, nearest, ..
    }) = &refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(
        (column.as_str(), nearest.as_deref()),
        ("totl", Some("total"))
    );
    let refused = csv(&bills, "name,name\na,b\n", OnError::Skip)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        DataError::Import(ImportError::DuplicateColumn { .. })
    ));
    let refused = csv(&bills, "", OnError::Skip).await.unwrap_err();
    assert!(matches!(refused, DataError::Import(ImportError::NoHeader)));
}
