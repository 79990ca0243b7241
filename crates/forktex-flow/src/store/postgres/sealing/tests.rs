// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Forms and places of sealed values.

use serde_json::json;

use super::*;

/// Puts the place before the value, in the open.
#[derive(Debug)]
struct Labelling;

fn label(place: &Place<'_>) -> Vec<u8> {
    format!("{}|{}|{:?}|", place.table, place.column, place.row).into_bytes()
}

impl ColumnCipher for Labelling {
    fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        Ok([label(place).as_slice(), plaintext].concat())
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, CipherError> {
        let opened = sealed.strip_prefix(label(place).as_slice());
        opened
            .map(<[u8]>::to_vec)
            .ok_or_else(|| CipherError::new(CipherErrorKind::TamperedOrMoved, "moved"))
    }
}

fn sealing() -> Sealing {
    Sealing::by(Arc::new(Labelling), "tenant-7")
}

fn cells(run: InstanceId) -> Vec<Cell<'static>> {
    let message = |signal, key| Cell::Message { run, signal, key };
    vec![
        Cell::Input(run),
        Cell::Failure(run),
        Cell::Reason(run),
        Cell::Entry { run, sequence: 1 },
        Cell::Entry { run, sequence: 11 },
        message("1", None),
        message("told", None),
        message("told", Some("")),
        message("told", Some("a")),
        message("told", Some("a:b")),
        message("told.a", Some("b")),
        Cell::ScheduleError { workflow: "told" },
    ]
}

#[test]
fn a_value_opens_in_its_own_cell_and_in_no_other() {
    let sealing = sealing();
    let (run, other) = (InstanceId::generate(), InstanceId::generate());
    let value = json!({"a": 1});
    for (n, cell) in cells(run).into_iter().enumerate() {
        let stored = sealing.json(cell, &value).unwrap();
        let here: Value = sealing.read(cell, &stored).unwrap();
        assert_eq!(here, value);
        let others = cells(run).into_iter().enumerate();
        let elsewhere = others.filter(|(m, _)| *m != n).map(|(_, cell)| cell);
        let of_other_run = cells(other).into_iter().filter(|cell| cell.run().is_some());
        for elsewhere in elsewhere.chain(of_other_run) {
            let refused = sealing.read::<Value>(elsewhere, &stored);
            let Err(DbError::Sealed { cause, .. }) = refused else {
                panic!("{cell:?} opens as {elsewhere:?}");
            };
            assert_eq!(cause.kind(), CipherErrorKind::TamperedOrMoved);
        }
        let elsewhere = Sealing::by(Arc::new(Labelling), "tenant-8");
        assert!(elsewhere.read::<Value>(cell, &stored).is_err());
    }
}

#[test]
fn without_a_cipher_values_pass_and_are_not_copied() {
    let off = Sealing::default();
    let run = InstanceId::generate();
    let input = json!({"title": "plain"});
    assert!(matches!(off.input(run, &input), Ok(Cow::Borrowed(_))));
    let reason = off.text(Cell::Reason(run), "why");
    assert!(matches!(reason, Ok(Cow::Borrowed("why"))));
    assert_eq!(
        off.json(Cell::Failure(run), &input).unwrap(),
        input.to_string()
    );
    assert_eq!(off.open_input(run, input.clone()).unwrap(), input);
}

#[test]
fn plain_values_are_read_with_a_cipher_and_sealed_ones_not_without() {
    let (on, off) = (sealing(), Sealing::default());
    let run = InstanceId::generate();
    let value = json!({"title": "both"});
    let read: Value = on.read(Cell::Failure(run), &value.to_string()).unwrap();
    assert_eq!(read, value);
    assert_eq!(on.open_input(run, value.clone()).unwrap(), value);
    let plain = on.open_text(Cell::Reason(run), "why".to_owned());
    assert_eq!(plain.unwrap(), "why");

    let sealed = on.input(run, &value).unwrap().into_owned();
    assert!(sealed.is_string());
    assert_eq!(on.open_input(run, sealed.clone()).unwrap(), value);
    let refused = off.open_input(run, sealed).unwrap_err();
    assert!(refused.to_string().contains("payload_cipher"), "{refused}");
    assert!(refused.to_string().contains(&run.to_string()), "{refused}");
}

/// A reason goes from the wish to the end through workers, some of which may lack the key.
#[test]
fn a_text_that_is_sealed_stays_as_it_is() {
    let (on, off) = (sealing(), Sealing::default());
    let cell = Cell::Reason(InstanceId::generate());
    let sealed = on.text(cell, "why").unwrap().into_owned();
    for sealing in [&on, &off] {
        assert_eq!(sealing.text(cell, &sealed).unwrap(), sealed);
    }
    assert_eq!(on.open_text(cell, sealed).unwrap(), "why");
}

#[test]
fn values_are_the_same_as_jsonb_says() {
    let same = [
        (json!(1), json!(1.0)),
        (
            json!({"a": [1, {"b": null}], "c": "x"}),
            json!({"c": "x", "a": [1.0, {"b": null}]}),
        ),
        (json!(u64::MAX), json!(u64::MAX)),
    ];
    for (one, other) in same {
        assert!(are_same(&one, &other), "{one} and {other}");
    }
    let different = [
        (json!(u64::MAX), json!(u64::MAX - 1)),
        (json!(1), json!("1")),
        (json!([1, 2]), json!([2, 1])),
        (json!([1]), json!([1, 1])),
        (json!({"a": 1}), json!({"a": 1, "b": null})),
        (json!({"a": 1}), json!({"b": 1})),
        (json!(null), json!(false)),
    ];
    for (one, other) in different {
        assert!(!are_same(&one, &other), "{one} and {other}");
    }
}

#[test]
fn debug_shows_nothing_of_the_cipher() {
    let shown = format!("{:?} {:?}", sealing(), Sealing::default());
    assert_eq!(
        shown,
        "Sealing { is_on: true, .. } Sealing { is_on: false, .. }"
    );
}
