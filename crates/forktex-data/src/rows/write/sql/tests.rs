// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Which parts a statement has, and what they say.

use super::*;
use crate::computed::Cells;
use crate::keys::RegisterKey;
use crate::register::LoadedRegister;
use crate::rows::read::References;

fn register(keeps_history: bool) -> LoadedRegister {
    LoadedRegister {
        key: RegisterKey(1),
        name: "r".to_owned(),
        label: None,
        description: None,
        keeps_history,
        version: 3,
        fields: Vec::new(),
        relationships: Vec::new(),
    }
}

fn row() -> StoredRow {
    StoredRow {
        id: Uuid::nil(),
        version: 1,
        external_ref: None,
        updated_at: time::OffsetDateTime::UNIX_EPOCH,
        archived_at: None,
        cells: Cells::new(),
    }
}

fn text_of_insert(register: &LoadedRegister, moves: &Moves, guard: Guard) -> String {
    let target = Target {
        tenant: Uuid::nil(),
        actor: None,
        register,
    };
    let write = RowWrite {
        before: None,
        after: Some(row()),
        references: References::new(),
    };
    insert(target, &[write], moves, guard).text().to_owned()
}

#[test]
fn a_write_has_only_the_parts_that_it_needs() {
    let text = text_of_insert(&register(false), &Moves::default(), Guard::Held);
    for part in ["held", "text_new", "number_new", "unique_new", "history"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_guarded_insert_writes_nothing_by_another_version() {
    let mut moves = Moves::default();
    moves.unique_new.fields.push(7);
    moves.unique_new.values.push("a".to_owned());
    moves.unique_new.rows.push(Uuid::nil());
    let text = text_of_insert(&register(true), &moves, Guard::Check);
    let compared = "(SELECT h.version FROM held AS h WHERE h.key = $2) = $4::bigint";
    assert_eq!(text.matches(compared).count(), 2, "{text}");
    assert!(text.contains("FOR KEY SHARE") && text.contains("forktex_data.history"));
}

#[test]
fn what_was_written_is_only_asked_for_by_the_history() {
    for keeps_history in [false, true] {
        let text = text_of_insert(&register(keeps_history), &Moves::default(), Guard::Held);
        assert_eq!(text.contains("RETURNING"), keeps_history, "{text}");
    }
}

#[test]
fn cells_go_as_documents_and_no_array_is_laid_out_as_a_table() {
    let mut moves = Moves::default();
    moves.number.new.fields.push(7);
    moves.number.new.values.push(None);
    moves.number.new.rows.push(Uuid::nil());
    let text = text_of_insert(&register(false), &moves, Guard::Check);
    assert!(text.contains("unnest($6::jsonb[]) AS cells"), "{text}");
    assert!(
        text.contains("(SELECT unnest($9::bigint[]) AS field_key"),
        "{text}"
    );
    assert!(!text.contains("FROM unnest"), "{text}");
}

#[test]
fn a_unique_value_is_given_only_after_it_was_taken_away() {
    let mut moves = Moves::default();
    for entries in [&mut moves.unique_gone, &mut moves.unique_new] {
        entries.fields.push(7);
        entries.values.push("a".to_owned());
        entries.rows.push(Uuid::nil());
    }
    let text = text_of_insert(&register(false), &moves, Guard::Held);
    assert!(text.contains("WHERE (SELECT count(*) FROM unique_gone) >= 0"));
}
