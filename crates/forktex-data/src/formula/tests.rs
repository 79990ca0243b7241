// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What formulas mean, what is refused and where, and that no text whatever does harm.

use serde_json::json;
use time::macros::{date, datetime};

use super::*;
use crate::limits::{FORMULA_CHARACTERS_MAX, FORMULA_DEPTH_MAX};
use crate::value::Value;

/// The fields that the tests work on, with their cells.
fn fields() -> Vec<(&'static str, ValueKind, Cell)> {
    let value = Cell::Value;
    vec![
        (
            "net",
            ValueKind::Decimal,
            value(Value::Decimal("10.50".parse().unwrap())),
        ),
        ("quantity", ValueKind::Integer, value(Value::from(4))),
        ("huge", ValueKind::Integer, value(Value::from(i64::MAX))),
        ("least", ValueKind::Integer, value(Value::from(i64::MIN))),
        ("zero", ValueKind::Integer, value(Value::from(0))),
        ("name", ValueKind::Text, value(Value::from("  Añá Müller "))),
        ("note", ValueKind::Text, Cell::Null),
        ("rebate", ValueKind::Decimal, Cell::Absent),
        ("paid", ValueKind::Boolean, value(Value::from(true))),
        ("sent", ValueKind::Boolean, Cell::Null),
        (
            "issued",
            ValueKind::Date,
            value(Value::from(date!(2026 - 01 - 31))),
        ),
        (
            "seen",
            ValueKind::Datetime,
            value(Value::from(datetime!(2026-03-01 01:30 +02:00))),
        ),
        ("and", ValueKind::Integer, value(Value::from(7))),
        (
            "document",
            ValueKind::Json,
            value(Value::from(json!({"a": 1}))),
        ),
        ("owner", ValueKind::Uuid, Cell::Absent),
    ]
}

fn check(source: &str) -> Result<CheckedFormula, FormulaError> {
    let fields = fields();
    Formula::parse(source)?.check(fields.iter().map(|(name, kind, _)| (*name, *kind)))
}

fn evaluate(source: &str) -> Cell {
    let fields = fields();
    let formula = check(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    formula.evaluate(&|name| {
        let found = fields.iter().find(|(known, ..)| *known == name);
        found.map_or(Cell::Absent, |(.., cell)| cell.clone())
    })
}

/// The value as JSON; `null` where it is empty.
fn value(source: &str) -> serde_json::Value {
    serde_json::to_value(evaluate(source)).unwrap()
}

fn problem(source: &str) -> FormulaProblem {
    check(source).unwrap_err().problem().clone()
}

#[test]
fn numbers_are_exact() {
    for (source, expected) in [
        ("0.1 + 0.2", json!("0.3")),
        ("net * quantity", json!("42")),
        ("net * 1.2", json!("12.6")),
        ("quantity + 1", json!(5)),
        ("quantity - 1 - 1", json!(2)),
        ("2 + 3 * 4", json!(14)),
        ("(2 + 3) * 4", json!(20)),
        ("7 % 4", json!(3)),
        ("7.5 % 2", json!("1.5")),
        ("1 / 4", json!("0.25")),
        ("8 / 2 / 2", json!("2")),
        ("-quantity", json!(-4)),
        ("--net", json!("10.5")),
        ("-2 * -3", json!(6)),
        ("round(2.5)", json!("3")),
        ("round(-2.345, 2)", json!("-2.35")),
        ("round(net / 3, 4)", json!("3.5")),
        ("10 / 3", json!("3.333333333333333333333333333")),
        ("abs(-3)", json!(3)),
        ("abs(net - 20)", json!("9.5")),
        ("min(3, net, 7)", json!("3")),
        ("max(3, quantity)", json!(4)),
        ("min('b', 'a')", json!("a")),
        ("12345678901234567890", json!("12345678901234567890")),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn what_has_no_answer_is_empty() {
    for source in [
        "1 / zero",
        "net / 0",
        "net % 0",
        "quantity % zero",
        "huge + 1",
        "least - 1",
        "-least",
        "abs(least)",
        "least % -1",
        "huge * huge",
        "79228162514264337593543950335 + 1",
        "date(2026, 2, 31)",
        "date(2026, 13, 1)",
        "date(10000, 1, 1)",
        "date(-1, 1, 1)",
        "add_days(issued, 99999999)",
        "add_days(issued, huge)",
        "left(name, -1)",
        "round(net, 29)",
        "round(net, -1)",
        "round(net, huge)",
    ] {
        assert_eq!(evaluate(source), Cell::Null, "{source}");
    }
}

#[test]
fn an_empty_operand_makes_the_result_empty_but_for_what_is_made_for_empties() {
    for source in [
        "rebate + 1",
        "1 - rebate",
        "name & note",
        "lower(note)",
        "round(rebate)",
        "max(1, rebate)",
        "days_between(issued, null)",
        "if(sent, 1, rebate)",
    ] {
        assert_eq!(evaluate(source), Cell::Null, "{source}");
    }
    for (source, expected) in [
        ("coalesce(rebate, 0)", json!("0")),
        ("coalesce(note, null, 'none')", json!("none")),
        ("concat('a', note, 'b')", json!("ab")),
        ("concat(note)", json!("")),
        ("is_empty(note)", json!(true)),
        ("is_empty(rebate)", json!(true)),
        ("is_empty(document)", json!(false)),
        ("is_empty(owner)", json!(true)),
        ("is_empty('')", json!(false)),
        ("rebate = rebate", json!(false)),
        ("rebate != 1", json!(false)),
        ("note < 'a'", json!(false)),
        ("contains(note, 'a')", json!(false)),
        ("not sent", json!(true)),
        ("sent and paid", json!(false)),
        ("sent or paid", json!(true)),
        ("if(sent, 1, 2)", json!(2)),
        ("if(null, 1, 2)", json!(2)),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn texts_are_taken_by_their_characters() {
    for (source, expected) in [
        ("trim(name)", json!("Añá Müller")),
        ("length(trim(name))", json!(10)),
        ("upper('straße')", json!("STRASSE")),
        ("lower(left(trim(name), 3))", json!("añá")),
        ("right('añá', 2)", json!("ñá")),
        ("left('ab', 99)", json!("ab")),
        ("'it''s' & \" a \"\"b\"\"\"", json!("it's a \"b\"")),
        ("quantity & ' x ' & net", json!("4 x 10.5")),
        ("text(issued) & '/' & paid", json!("2026-01-31/true")),
        ("contains(name, 'Mü')", json!(true)),
        ("starts_with(name, 'M')", json!(false)),
        ("ends_with('abc', 'bc')", json!(true)),
        ("'B' < 'a'", json!(true)),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn days_are_counted_in_utc() {
    for (source, expected) in [
        ("date(2026, 2, 28)", json!("2026-02-28")),
        ("date(seen)", json!("2026-02-28")),
        ("year(issued) * 100 + month(issued)", json!(202_601)),
        ("day(seen)", json!(28)),
        ("add_days(issued, 1)", json!("2026-02-01")),
        ("add_days(seen, -28)", json!("2026-01-31")),
        ("days_between(issued, seen)", json!(28)),
        ("days_between(seen, issued)", json!(-28)),
        ("issued < date(2026, 2, 1)", json!(true)),
        ("issued = date(2026, 1, 31) and not sent", json!(true)),
    ] {
        assert_eq!(value(source), expected, "{source}");
    }
}

#[test]
fn operators_bind_as_they_do_elsewhere() {
    for (source, expected) in [
        ("1 + 1 = 2 and 3 > 2 or false", json!(true)),
        ("true or false and false", json!(true)),
        ("not 1 = 2", json!(true)),
        ("NOT paid OR Paid2", json!(null)),
        ("'a' & 1 + 1", json!("a2")),
        ("'a' & 'b' = 'ab'", json!(true)),
        ("1 <> 2", json!(true)),
        ("1 == 1.0", json!(true)),
        ("If(Paid, 1, 2)", json!(null)),
        ("{and} + 1", json!(8)),
        ("{ net }", json!("10.5")),
    ] {
        match check(source) {
            Ok(_) => assert_eq!(value(source), expected, "{source}"),
            // Names of fields are lower case; those of functions and words are not looked at.
            Err(error) => assert!(
                matches!(error.problem(), FormulaProblem::UnknownField { .. })
                    && expected.is_null(),
                "{source}: {error}"
            ),
        }
    }
}

#[test]
fn a_formula_knows_the_kind_of_its_values() {
    for (source, kind) in [
        ("1 + 1", ValueKind::Integer),
        ("1 + net", ValueKind::Decimal),
        ("4 / 2", ValueKind::Decimal),
        ("if(paid, 1, 1.5)", ValueKind::Decimal),
        ("if(paid, null, issued)", ValueKind::Date),
        ("coalesce(null, seen)", ValueKind::Datetime),
        ("net > 1", ValueKind::Boolean),
        ("net & ''", ValueKind::Text),
        ("round(quantity)", ValueKind::Decimal),
    ] {
        assert_eq!(check(source).unwrap().kind(), kind, "{source}");
    }
    // The kind holds for each value, whichever branch it comes from.
    assert_eq!(value("if(paid, 1, 1.5)"), json!("1"));
}

#[test]
fn each_fault_has_its_place_and_says_what_to_write() {
    for (source, place, advice) in [
        ("", 0..0, "write an expression"),
        ("net +", 5..5, "a field, a value or a function"),
        ("net 2", 4..5, "operator"),
        ("(net", 4..4, "`)`"),
        ("net)", 3..4, "take it out"),
        ("round(net, 2", 12..12, "`,` or `)`"),
        ("round()", 0..7, "round(number, digits)"),
        ("date(2026, 1)", 0..13, "date(instant)"),
        ("rond(net)", 0..4, "`round`"),
        ("nett + 1", 0..4, "`net`"),
        ("Net + 1", 0..3, "`net`"),
        ("net + 'a'", 6..9, "`&`"),
        ("lower(net)", 6..9, "text(..)"),
        ("if(net, 1, 2)", 3..6, "x > 0"),
        ("net and paid", 0..3, "x > 0"),
        ("if(paid, 1, 'a')", 0..16, "text(..)"),
        ("issued = seen", 0..13, "date(..)"),
        ("issued - 1", 0..6, "add_days"),
        ("net = name", 0..10, "do not go together"),
        ("document", 0..8, "is_empty"),
        ("document = document", 0..8, "is_empty"),
        ("null", 0..4, "give it a value"),
        ("1 < 2 < 3", 6..7, "a < b and b < c"),
        ("'abc", 0..4, "`'`"),
        ("{net", 0..4, "{net}"),
        ("{}", 0..1, "{net}"),
        ("1.2.3", 0..5, "1.25"),
        ("1e5", 0..3, "1.25"),
        ("5.", 0..2, "1.25"),
        ("net ^ 2", 4..5, "multiply"),
        ("paid && sent", 5..6, "`and`"),
        ("paid || sent", 5..6, "`or`"),
        ("!paid", 0..1, "`not`"),
        ("if(paid; 1; 2)", 7..8, "`,`"),
        ("client.name", 6..7, "look-up"),
        ("net # 2", 4..5, "means nothing"),
    ] {
        let error = check(source).unwrap_err();
        let span = error.span();
        assert_eq!(span.start..span.end, place, "{source}: {error}");
        assert!(error.to_string().contains(advice), "{source}: {error}");
    }
}

#[test]
fn an_error_names_the_field_and_shows_the_part() {
    let error = check("net + nope").unwrap_err();
    let error = error.of_field("invoices.gross".to_owned());
    assert_eq!(
        error.to_string(),
        "cannot use the formula of `invoices.gross` at character 7 (`nope`): there is no field `nope`; did \
         you mean `note`?"
    );
}

#[test]
fn what_is_too_long_or_too_deep_is_refused() {
    let longest = "1".repeat(28) + &"+1".repeat(1_986);
    assert_eq!(longest.len(), FORMULA_CHARACTERS_MAX);
    assert!(check(&longest).is_ok());
    let longer = longest + " ";
    assert!(matches!(
        problem(&longer),
        FormulaProblem::TooLong { characters: 4_001 }
    ));

    for (open, close) in [
        ("(", ")"),
        ("-", ""),
        ("abs(", ")"),
        ("abs(1 + 2 * -(", "))"),
    ] {
        let nested = |depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let levels = if open.len() > 4 { 3 } else { 1 };
        let deepest = FORMULA_DEPTH_MAX / levels;
        assert!(check(&nested(deepest)).is_ok(), "{open}");
        assert_eq!(
            problem(&nested(deepest + 1)),
            FormulaProblem::TooDeep,
            "{open}"
        );
    }
    let not = format!("{}paid", "not ".repeat(FORMULA_DEPTH_MAX + 1));
    assert_eq!(problem(&not), FormulaProblem::TooDeep);
}

#[test]
fn a_text_cannot_grow_beyond_what_a_cell_holds() {
    let long = "x".repeat(60_000);
    let evaluate = |source: &str| {
        let formula = Formula::parse(source).unwrap();
        let formula = formula.check([("long", ValueKind::Text)]).unwrap();
        formula.evaluate(&|_| Cell::Value(Value::from(long.as_str())))
    };
    assert_eq!(evaluate("long & long"), Cell::Null);
    assert_eq!(evaluate("concat(long, long)"), Cell::Null);
    assert!(!evaluate("long & 'y'").is_empty());
}

#[test]
fn a_field_is_renamed_where_it_is_named_and_nowhere_else() {
    let formula = Formula::parse("net*2 + {net} - length('net') + round(net_2, net)").unwrap();
    assert_eq!(
        formula.rename_field("net", "total"),
        "total*2 + {total} - length('net') + round(net_2, total)"
    );
    assert_eq!(
        formula.rename_field("net_2", "or"),
        "net*2 + {net} - length('net') + round({or}, net)"
    );
    assert_eq!(formula.rename_field("none", "x"), formula.source());
    assert_eq!(formula.names(), ["net", "net_2"]);
}

#[test]
fn a_name_that_cannot_be_used_says_why() {
    let fields = BTreeMap::from([("client", FieldUse::Unusable("use a look-up"))]);
    let error = Formula::parse("client")
        .unwrap()
        .check_uses(&fields)
        .unwrap_err();
    assert!(error.to_string().contains("use a look-up"), "{error}");
}

/// Texts put together of pieces that look like formulas, by a generator with a fixed seed. None may
/// panic, whether it is understood or not; and what is understood has a value of its kind.
#[test]
fn no_text_does_harm() {
    const PIECES: [&str; 44] = [
        "net",
        "quantity",
        "huge",
        "name",
        "note",
        "rebate",
        "paid",
        "issued",
        "seen",
        "document",
        "{and}",
        "{",
        "}",
        "(",
        ")",
        ",",
        "+",
        "-",
        "*",
        "/",
        "%",
        "&",
        "=",
        "!=",
        "<",
        "and",
        "or",
        "not",
        "null",
        "true",
        "0",
        "1.5",
        "79228162514264337593543950335",
        "'a'",
        "'",
        "\"ü\"",
        "if(",
        "coalesce(",
        "round(",
        "left(",
        "date(",
        "add_days(",
        "concat(",
        "\u{1f600}",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let mut understood = 0;
    for _ in 0..40_000 {
        let length = 1 + random(14);
        let mut source = String::new();
        for _ in 0..length {
            source.push_str(PIECES[random(PIECES.len())]);
            source.push_str(if random(2) == 0 { " " } else { "" });
        }
        match check(&source) {
            Ok(formula) => {
                understood += 1;
                if let Cell::Value(value) = evaluate(&source) {
                    assert_eq!(value.kind(), formula.kind(), "{source}");
                }
                // In braces, the spaces around a name are lost.
                let renamed = formula.formula().rename_field("net", "net");
                assert!(
                    renamed == source || source.contains('{'),
                    "{source}: {renamed}"
                );
            }
            Err(error) => {
                let span = error.span();
                assert!(
                    source.get(span.start..span.end).is_some(),
                    "{source}: {error:?}"
                );
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(understood > 500, "only {understood} texts were understood");
}
