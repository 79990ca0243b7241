// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! The same work by the driver alone, as a careful author would write it by hand.

use forktex_db::{DbError, Transaction, sqlx};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::{NewUser, User};

const GET: &str = "SELECT id, email, name, age, created_at, updated_at, archived_at, version \
                   FROM bench.user WHERE archived_at IS NULL AND id = $1";

const LIST: &str = "SELECT id, email, name, age, created_at, updated_at, archived_at, version \
                    FROM bench.user WHERE archived_at IS NULL AND age >= $1 \
                    ORDER BY age, id LIMIT 50";

const CREATE: &str = "INSERT INTO bench.user \
                      (id, email, name, age, created_at, updated_at, archived_at, version) \
                      VALUES ($1, $2, $3, $4, now(), now(), NULL, 1) \
                      RETURNING id, email, name, age, created_at, updated_at, archived_at, version";

const NOTES: &str =
    "SELECT id, org_id, text FROM bench.note WHERE org_id = $1 ORDER BY id LIMIT 10";

pub(crate) async fn get(tx: &mut Transaction, id: Uuid) -> Result<User, DbError> {
    let row = sqlx::query(GET).bind(id).fetch_one(tx.connection()).await?;
    Ok(user(&row)?)
}

pub(crate) async fn list(tx: &mut Transaction, age: i32) -> Result<Vec<User>, DbError> {
    let rows = sqlx::query(LIST)
        .bind(age)
        .fetch_all(tx.connection())
        .await?;
    Ok(rows.iter().map(user).collect::<Result<_, _>>()?)
}

pub(crate) async fn create(tx: &mut Transaction, new: NewUser) -> Result<User, DbError> {
    let row = sqlx::query(CREATE)
        .bind(Uuid::now_v7())
        .bind(new.email)
        .bind(new.name)
        .bind(new.age)
        .fetch_one(tx.connection())
        .await?;
    Ok(user(&row)?)
}

pub(crate) async fn notes(tx: &mut Transaction, org: Uuid) -> Result<(), DbError> {
    let rows = sqlx::query(NOTES).bind(org);
    let rows = rows.fetch_all(tx.connection()).await?;
    for row in rows {
        let (_, _, _): (Uuid, Uuid, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    }
    Ok(())
}

fn user(row: &PgRow) -> Result<User, sqlx::Error> {
    Ok(User {
        id: row.try_get(0)?,
        email: row.try_get(1)?,
        name: row.try_get(2)?,
        age: row.try_get(3)?,
        created_at: row.try_get(4)?,
        updated_at: row.try_get(5)?,
        archived_at: row.try_get(6)?,
        version: row.try_get(7)?,
    })
}
