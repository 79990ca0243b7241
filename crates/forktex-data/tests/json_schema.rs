// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The JSON Schema of a register takes exactly the rows that the register takes: random registers with
//! random rules, and rows that are right, nearly right and wrong, held against a validator of the field's.
//!
//! `FORKTEX_DATA_SEED=<seed>` plays a round again that was printed as failed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use fastrand::Rng;
use forktex_data::{
    Data, DataError, Decimal, Draft, FieldDefinition, Register, RegisterDefinition,
};
use forktex_db::{Db, DbOptions};
use forktex_testkit::TestDatabase;
use serde_json::{Map, Value as Json, json};
use time::macros::{date, datetime};
use uuid::Uuid;

const SEED: &str = "FORKTEX_DATA_SEED";

/// How many registers are made, and how many rows are held against each.
const ROUNDS: usize = 10;
const ROWS: usize = 120;

/// A field with rules, which leave some of the pool of its type out.
fn field(random: &mut Rng, name: &str) -> FieldDefinition {
    let definition = match random.u8(..10) {
        0 => FieldDefinition::text(name),
        1 => FieldDefinition::text(name).length(1..=4),
        2 => FieldDefinition::text(name).pattern("^[a-z]+[0-9]?$"),
        3 => FieldDefinition::integer(name),
        4 => FieldDefinition::integer(name).range(-5, 1_000),
        5 => {
            let decimal = FieldDefinition::decimal(name);
            let decimal = if random.bool() {
                decimal.scale(random.u32(0..3))
            } else {
                decimal
            };
            if random.bool() {
                decimal.range(Decimal::new(-15, 1), Decimal::new(100, 0))
            } else {
                decimal
            }
        }
        6 => FieldDefinition::boolean(name),
        7 => {
            let day = FieldDefinition::date(name);
            if random.bool() {
                day.range(date!(2024 - 02 - 29), date!(2026 - 12 - 31))
            } else {
                day
            }
        }
        8 => {
            let at = FieldDefinition::datetime(name);
            if random.bool() {
                at.range(
                    datetime!(2024-02-29 00:00 UTC),
                    datetime!(2026-12-31 23:59:59 UTC),
                )
            } else {
                at
            }
        }
        _ => match random.u8(..3) {
            0 => FieldDefinition::one_of(name, ["draft", "paid"]),
            1 => FieldDefinition::uuid(name),
            _ => FieldDefinition::json(name),
        },
    };
    if random.u8(..4) == 0 {
        definition.required()
    } else {
        definition
    }
}

/// Values of every type and of none: right for one field, wrong for another.
fn value(random: &mut Rng) -> Json {
    const TEXTS: [&str; 46] = [
        "",
        "a",
        "abc1",
        "abcde",
        "Ä",
        "日本",
        "a b",
        "a\nb",
        "a1\n",
        "draft",
        "paid",
        "Draft",
        "null",
        "0",
        "1",
        "-1",
        "01",
        "1.0",
        "1.5",
        "-1.5",
        "-1.6",
        "1.50",
        "1.500",
        "100",
        "100.0",
        "100.01",
        "+1",
        "1.",
        ".5",
        "1e3",
        " 1",
        "1234567890123456789012345678",
        "12345678901234567890123456789",
        "0.0000000000000000000000000001",
        "2024-02-29",
        "2023-02-29",
        "2026-12-31",
        "2027-01-01",
        "2024-2-9",
        "0000-01-01",
        "2025-06-30T12:00:00Z",
        "2025-06-30t12:00:00z",
        "2025-06-30T24:00:00Z",
        "2025-06-30T12:00:00.1234567Z",
        "2025-06-30T12:00:00.123456Z",
        "2026-12-31T23:59:59.000001Z",
    ];
    match random.u8(..16) {
        0 => Json::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(-10..1_010)),
        3 => json!([0.0, 1.0, -5.0, 1.5, 1e3, 1e300, -0.5][random.usize(..7)]),
        4 => json!([i64::MAX, i64::MIN, 0, -5, -6, 1_000, 1_001][random.usize(..7)]),
        5 => json!(u64::MAX - random.u64(..2)),
        6 => json!([1, "a", null]),
        7 => json!({"a": {"b": [1.5, "c"]}}),
        8 => json!({}),
        9 => json!(Uuid::from_u128(random.u128(..)).to_string()),
        10 => json!(Uuid::from_u128(random.u128(..)).simple().to_string()),
        11 => json!(Uuid::from_u128(random.u128(..)).to_string().to_uppercase()),
        12 => json!(["a\u{0}", "\u{0}"][random.usize(..2)]),
        _ => json!(TEXTS[random.usize(..TEXTS.len())]),
    }
}

/// A value that fits more often than not.
fn fitting(random: &mut Rng, definition: &FieldDefinition) -> Json {
    match definition.field_type.name() {
        "text" => json!(["a", "ab", "abc", "ab1"][random.usize(..4)]),
        "integer" => json!(random.i64(-5..10)),
        "decimal" => json!(["0", "1", "-1", "1.0", "99.5"][random.usize(..5)]),
        "boolean" => json!(random.bool()),
        "date" => json!(["2024-02-29", "2025-01-31", "2026-12-31"][random.usize(..3)]),
        "datetime" => json!(["2024-02-29T00:00:00Z", "2025-06-30T12:00:00.5Z"][random.usize(..2)]),
        "enum" => json!(["draft", "paid"][random.usize(..2)]),
        "uuid" => json!(Uuid::from_u128(random.u128(..)).to_string()),
        _ => json!({"a": [1, null]}),
    }
}

fn row(random: &mut Rng, fields: &[FieldDefinition]) -> Json {
    let mut row = Map::new();
    // One or two faults at most, so that each is seen by itself.
    let faults = random.usize(..=2);
    for field in fields {
        if random.u8(..6) > 0 {
            row.insert(field.name.clone(), fitting(random, field));
        }
    }
    for _ in 0..faults {
        let field = &fields[random.usize(..fields.len())];
        row.insert(field.name.clone(), value(random));
    }
    match random.u8(..20) {
        0 => row.insert("unknown".to_owned(), json!(1)),
        1 => row.insert(
            "id".to_owned(),
            json!("00000000-0000-4000-8000-000000000001"),
        ),
        2 => row.insert("external_ref".to_owned(), value(random)),
        3 => row.insert("number".to_owned(), json!(7)),
        _ => None,
    };
    Json::Object(row)
}

/// Whether the register takes the row. What the row's own values do not decide has no part in it.
async fn is_taken(register: &Register, row: &Json) -> Result<(), String> {
    let draft = Draft::try_from(row.clone()).map_err(|error| error.to_string())?;
    match register.rows().create(draft).await {
        Ok(made) => {
            register.rows().delete(made.id).await.unwrap();
            Ok(())
        }
        Err(error @ (DataError::Row { .. } | DataError::Invalid { .. })) => Err(error.to_string()),
        Err(other) => panic!("{row}: {other:?}"),
    }
}

async fn play(db: &Db, seed: u64) {
    let mut random = Rng::with_seed(seed);
    let count = random.usize(1..8);
    let fields: Vec<FieldDefinition> = (0..count)
        .map(|n| field(&mut random, &format!("f{n}")))
        .collect();
    let register = fields
        .iter()
        .cloned()
        .fold(RegisterDefinition::new("things"), RegisterDefinition::field);
    let register = register.field(FieldDefinition::number("number"));
    let tenant = Data::new(db).tenant(Uuid::now_v7());
    let register = tenant.create_register(register).await.unwrap();
    let schema = register.json_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..ROWS {
        let row = row(&mut random, &fields);
        let outcome = is_taken(&register, &row).await;
        assert_eq!(
            validator.is_valid(&row),
            outcome.is_ok(),
            "seed {seed}: the register says {outcome:?} of\n{row}\nby\n{schema:#}"
        );
        match outcome {
            Ok(()) => taken += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(
        taken > 0 && refused > 0,
        "seed {seed}: {taken} taken, {refused} refused"
    );
}

async fn place() -> (TestDatabase, Db) {
    let database = TestDatabase::create().await.unwrap();
    let owner = Db::connect(database.owner_url(), DbOptions::new())
        .await
        .unwrap();
    Data::new(&owner).migrate().await.unwrap();
    let db = Db::connect(database.url(), DbOptions::new()).await.unwrap();
    (database, db)
}

#[tokio::test]
async fn a_schema_takes_exactly_what_its_register_takes() {
    let (_database, db) = place().await;
    if let Ok(seed) = std::env::var(SEED) {
        return play(&db, seed.parse().unwrap()).await;
    }
    for _ in 0..ROUNDS {
        let seed = fastrand::u64(..);
        // Shown where the round fails, by panic or otherwise.
        println!("{SEED}={seed}");
        play(&db, seed).await;
    }
}

/// A row that was read fits the schema of rows as they are read.
#[tokio::test]
async fn a_row_that_was_read_fits_the_schema_of_such_rows() {
    let (_database, db) = place().await;
    let tenant = Data::new(&db).tenant(Uuid::now_v7());
    let fields = [
        FieldDefinition::text("name"),
        FieldDefinition::decimal("net").scale(2),
        FieldDefinition::formula("gross", "net * 1.2"),
        FieldDefinition::datetime("at"),
        FieldDefinition::json("extra"),
        FieldDefinition::number("number"),
    ];
    let register = fields
        .into_iter()
        .fold(RegisterDefinition::new("things"), RegisterDefinition::field);
    let register = tenant.create_register(register).await.unwrap();
    let validator = jsonschema::validator_for(&register.row_json_schema()).unwrap();
    for row in [
        json!({"name": "a", "net": "1.00", "at": "2026-01-01T00:00:00Z", "extra": null}),
        json!({"name": null, "extra": {"a": 1}}),
        json!({}),
    ] {
        let made = register
            .rows()
            .create(Draft::try_from(row).unwrap())
            .await
            .unwrap();
        let read = register.rows().get(made.id).await.unwrap().to_json();
        let faults: Vec<String> = validator
            .iter_errors(&read)
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{read}: {faults:?}");
    }
}
