// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Formulas: whatever the text, there is an answer; a fault has its place in the text, and what is accepted
//! is evaluated over any cells.
#![no_main]

use forktex_data::{Cell, Formula, Value, ValueKind};
use libfuzzer_sys::fuzz_target;

fn kind(name: &str) -> Option<ValueKind> {
    Some(match name.as_bytes().first()? {
        b'a'..=b'e' => ValueKind::Integer,
        b'f'..=b'j' => ValueKind::Decimal,
        b'k'..=b'n' => ValueKind::Text,
        b'o'..=b'q' => ValueKind::Boolean,
        b'r'..=b't' => ValueKind::Date,
        b'u'..=b'w' => ValueKind::Datetime,
        _ => return None,
    })
}

/// Cells at the ends of what a kind holds, and none.
fn cell(name: &str) -> Cell {
    let is_last = name.len() % 2 == 0;
    match kind(name) {
        Some(ValueKind::Integer) if is_last => Cell::Value(Value::Integer(i64::MAX)),
        Some(ValueKind::Integer) => Cell::Value(Value::Integer(i64::MIN)),
        Some(ValueKind::Text) => Cell::Value(Value::from("ä\u{1F600}a")),
        Some(ValueKind::Boolean) => Cell::Value(Value::from(is_last)),
        Some(ValueKind::Decimal) if is_last => Cell::Value(Value::from(forktex_data::Decimal::MAX)),
        _ if is_last => Cell::Null,
        _ => Cell::Absent,
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Formula::parse(text) {
        Ok(formula) => {
            assert_eq!(formula.source(), text);
            let names = formula.names().into_iter();
            let fields: Vec<(&str, ValueKind)> =
                names.filter_map(|name| Some((name, kind(name)?))).collect();
            if let Ok(checked) = formula.check(fields) {
                let computed = checked.evaluate(&cell);
                if let Some(value) = computed.value() {
                    assert_eq!(value.kind(), checked.kind(), "{text}");
                }
            }
        }
        Err(error) => {
            let span = error.span();
            assert!(span.start <= span.end && span.end <= text.len());
            assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end));
        }
    }
});
