// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! Notices over LISTEN and NOTIFY. The channel has the schema's name.

use async_trait::async_trait;
use forktex_db::sqlx;
use forktex_db::sqlx::postgres::PgListener;
use forktex_db::{DbError, Singly as _};

use super::PostgresStore;
use crate::store::notice::{Notice, NoticeReceiver, NoticeSender, decode, encode};

#[async_trait]
impl NoticeSender for PostgresStore {
    async fn send(&self, notices: &[Notice]) -> Result<(), DbError> {
        sqlx::query(self.statements.notify.clone())
            .bind(&self.schema)
            .bind(encode(notices))
            .single(&self.db)
            .execute()
            .await?;
        Ok(())
    }
}

pub(crate) struct PostgresReceiver {
    store: PostgresStore,
    listener: Option<PgListener>,
}

impl PostgresReceiver {
    pub(crate) fn new(store: PostgresStore) -> Self {
        Self {
            store,
            listener: None,
        }
    }
}

#[async_trait]
impl NoticeReceiver for PostgresReceiver {
    async fn receive(&mut self) -> Result<Vec<Notice>, DbError> {
        let listener = if let Some(listener) = &mut self.listener {
            listener
        } else {
            let mut listener = PgListener::connect_with(self.store.db.pool()).await?;
            listener.listen(&self.store.schema).await?;
            self.listener.insert(listener)
        };
        match listener.recv().await {
            Ok(notification) => Ok(decode(notification.payload())),
            Err(error) => {
                self.listener = None;
                Err(error.into())
            }
        }
    }
}
