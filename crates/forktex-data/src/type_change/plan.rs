// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The dry run: what would become of the cells of a field. It changes nothing.

use forktex_db::sqlx;
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::conversion::{Conversion, detached};
use super::{TYPE_CHANGE_BATCH_ROWS, TYPE_CHANGE_SAMPLES_MAX, TypeChange};
use crate::catalog;
use crate::coerce::CellProblem;
use crate::error::DataError;
use crate::keys::FieldKey;
use crate::row::RowId;

const READ_CELLS: &str = "
    SELECT r.id, r.cells -> $3::text FROM forktex_data.row r
    WHERE r.register_key = $1 AND r.tenant_id = $2 AND r.id > $4
    ORDER BY r.id LIMIT $5";

/// What a type change would do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TypeChangePlan {
    /// Rows, archived ones included.
    pub rows: u64,
    /// Rows without a value in the field, which stay so, and those with a blank text, which become so where
    /// the new type has no blank.
    pub empty: u64,
    /// Cells that convert.
    pub convert: u64,
    /// Cells that do not.
    pub fail: u64,
    /// Some of those that do not, at most 20.
    pub samples: Vec<TypeChangeSample>,
}

/// A cell that does not convert.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TypeChangeSample {
    /// Its row.
    pub id: RowId,
    /// What it holds.
    pub before: Json,
    /// Why it does not convert.
    pub problem: CellProblem,
}

pub(super) async fn plan(change: &TypeChange) -> Result<TypeChangePlan, DataError> {
    let (from, to) = change.checked()?;
    let register = &change.register;
    let types = register.data().types();
    register
        .transaction(async |tx| {
            catalog::check_replacement(tx, register.tenant(), types, from.key, &to).await
        })
        .await?;
    let conversion = Conversion::new(from.clone(), detached(FieldKey(0), to, types), types);
    let (mut plan, mut after) = (TypeChangePlan::default(), Uuid::nil());
    loop {
        let cells: Vec<(Uuid, Option<Json>)> = register
            .transaction(async |tx| {
                let cells = sqlx::query_as(READ_CELLS)
                    .bind(register.loaded().key.0)
                    .bind(register.tenant())
                    .bind(from.key.to_string())
                    .bind(after)
                    .bind(TYPE_CHANGE_BATCH_ROWS)
                    .fetch_all(tx.connection())
                    .await?;
                Ok(cells)
            })
            .await?;
        let Some((last, _)) = cells.last() else {
            return Ok(plan);
        };
        after = *last;
        for (id, before) in &cells {
            plan.note(&conversion, *id, before.as_ref());
        }
    }
}

impl TypeChangePlan {
    fn note(&mut self, conversion: &Conversion<'_>, id: Uuid, before: Option<&Json>) {
        self.rows += 1;
        let Some(before) = before.filter(|before| !before.is_null()) else {
            self.empty += 1;
            return;
        };
        let converted = conversion.convert(Some(before));
        match converted.problem {
            None if converted.cell.is_none_or(|cell| cell.is_null()) => self.empty += 1,
            None => self.convert += 1,
            Some(problem) => {
                self.fail += 1;
                if self.samples.len() < TYPE_CHANGE_SAMPLES_MAX {
                    self.samples.push(TypeChangeSample {
                        id: RowId::from(id),
                        before: before.clone(),
                        problem,
                    });
                }
            }
        }
    }
}
