// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! A stored register of a tenant of its own with random rows, and random changes of them, which the rows of
//! the evaluator go along with.

use std::collections::BTreeMap;

use fastrand::Rng;
use forktex_data::{Data, Draft, FieldDefinition, Register, RegisterDefinition, RowId};
use forktex_db::Db;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::cells::{self, Field, Kind, OPTIONS, Row, State};

/// How many rows a register has at most.
const ROWS_MAX: usize = 60;

/// How often rows are changed.
const CHANGES: usize = 40;

pub(crate) type Filled = (Register, Vec<Field>, Vec<Row>);

pub(crate) fn definition(field: &Field) -> FieldDefinition {
    let name = field.name.as_str();
    let definition = match field.kind {
        Kind::Text => FieldDefinition::text(name),
        Kind::Integer => FieldDefinition::integer(name),
        Kind::Decimal => FieldDefinition::decimal(name),
        Kind::Boolean => FieldDefinition::boolean(name),
        Kind::Date => FieldDefinition::date(name),
        Kind::Datetime => FieldDefinition::datetime(name),
        Kind::Uuid => FieldDefinition::uuid(name),
        Kind::Enum => FieldDefinition::one_of(name, OPTIONS),
    };
    if field.is_searchable {
        definition.searchable()
    } else {
        definition
    }
}

/// Cells in random states, and the same as JSON.
pub(crate) fn cells(random: &mut Rng, fields: &[Field]) -> (BTreeMap<String, State>, Json) {
    let (mut states, mut json) = (BTreeMap::new(), Map::new());
    for field in fields {
        let state = cells::state(random, field.kind);
        match &state {
            State::Absent => {}
            State::Null => {
                json.insert(field.name.clone(), Json::Null);
            }
            State::Value(value) => {
                json.insert(field.name.clone(), cells::to_json(field.kind, value));
            }
        }
        states.insert(field.name.clone(), state);
    }
    (states, Json::Object(json))
}

pub(crate) async fn fill(db: &Db, random: &mut Rng) -> Filled {
    let fields = cells::fields(random);
    let of_field = |field: &Field| {
        let definition = definition(field);
        if field.is_indexed {
            definition.indexed()
        } else {
            definition
        }
    };
    let register = fields
        .iter()
        .map(of_field)
        .fold(RegisterDefinition::new("things"), RegisterDefinition::field);
    // A tenant of its own for each round, by a seed of its own.
    let tenant = Data::new(db).tenant(Uuid::now_v7());
    let register = tenant.create_register(register).await.unwrap();
    let count = random.usize(..=ROWS_MAX);
    let made: Vec<_> = (0..count).map(|_| cells(random, &fields)).collect();
    let drafts = made
        .iter()
        .map(|(_, json)| Draft::try_from(json.clone()).unwrap());
    let created = register.rows().create_many(drafts.collect()).await.unwrap();
    let rows = created.iter().zip(made).map(|(row, (cells, _))| Row {
        id: row.id.to_string(),
        cells,
        is_archived: false,
    });
    let rows = rows.collect();
    (register, fields, rows)
}

pub(crate) async fn change(
    db: &Db,
    register: Register,
    mut fields: Vec<Field>,
    mut rows: Vec<Row>,
    random: &mut Rng,
) -> Filled {
    for _ in 0..CHANGES {
        if rows.is_empty() {
            break;
        }
        let place = random.usize(..rows.len());
        let id: RowId = rows[place].id.parse().unwrap();
        let handle = register.rows();
        match random.u8(..10) {
            0 => {
                handle.delete(id).await.unwrap();
                rows.remove(place);
            }
            1 => {
                handle.archive(id).await.unwrap();
                rows[place].is_archived = true;
            }
            2 => {
                handle.restore(id).await.unwrap();
                rows[place].is_archived = false;
            }
            3 => {
                let (states, json) = cells(random, &fields);
                handle
                    .replace(id, Draft::try_from(json).unwrap())
                    .await
                    .unwrap();
                rows[place].cells = states;
            }
            _ => {
                let field = &fields[random.usize(..fields.len())];
                let state = cells::state(random, field.kind);
                let draft = match &state {
                    State::Absent => Draft::new().unset(field.name.as_str()),
                    State::Null => Draft::new().null(field.name.as_str()),
                    State::Value(value) => {
                        let value = cells::to_json(field.kind, value);
                        let mut json = Map::new();
                        json.insert(field.name.clone(), value);
                        Draft::try_from(Json::Object(json)).unwrap()
                    }
                };
                handle.patch(id, draft).await.unwrap();
                rows[place].cells.insert(field.name.clone(), state);
            }
        }
    }
    for field in &mut fields {
        if random.bool() {
            field.is_indexed = !field.is_indexed;
            register
                .set_indexed(&field.name, field.is_indexed)
                .await
                .unwrap();
        }
    }
    let tenant = Data::new(db).tenant(register.tenant());
    tenant.run_maintenance().await.unwrap();
    (register.refresh().await.unwrap(), fields, rows)
}
