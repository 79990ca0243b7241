// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What the bodies write outside the flow's transactions, by a way to the server that no murder but
//! the server's own cuts; and the tables that a round is judged by.

use std::time::Duration;

use forktex::db::sqlx::postgres::{PgPool, PgPoolOptions};
use forktex::db::sqlx::{self};
use forktex::flow::prelude::*;
use uuid::Uuid;

/// How long a statement beside the flow is tried again while the server is away.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);

/// The tables, and what notes who owned a run when an entry of its journal was written.
///
/// The function is STABLE, so that it sees the run as the statement saw it that writes the entry.
const TABLES: &str = "
CREATE TABLE public.ledger (
    token text PRIMARY KEY, instance text NOT NULL, node text NOT NULL, visit integer NOT NULL,
    attempt integer NOT NULL, worker text NOT NULL, resumes boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE public.booked (
    number bigint GENERATED ALWAYS AS IDENTITY, instance text NOT NULL, node text NOT NULL,
    visit integer NOT NULL, token text NOT NULL);
CREATE TABLE public.errand (
    number bigint PRIMARY KEY, errand text NOT NULL, due_at timestamptz NOT NULL,
    tried_at timestamptz, done_at timestamptz);
CREATE TABLE public.answer (
    number bigint NOT NULL, workflow text NOT NULL, key text NOT NULL, instance text NOT NULL,
    word text);
CREATE TABLE public.incarnation (worker_id uuid PRIMARY KEY, worker text NOT NULL);
CREATE TABLE public.blow (worker text NOT NULL, bodies integer NOT NULL);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;

ALTER TABLE forktex_flow.journal ADD COLUMN owner uuid;
CREATE FUNCTION public.note_owner() RETURNS trigger LANGUAGE plpgsql STABLE AS $$
BEGIN
    NEW.owner := (SELECT worker_id FROM forktex_flow.active WHERE instance_id = NEW.instance_id);
    RETURN NEW;
END $$;
CREATE TRIGGER note_owner BEFORE INSERT ON forktex_flow.journal
    FOR EACH ROW EXECUTE FUNCTION public.note_owner();
CREATE FUNCTION public.note_incarnation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.incarnation VALUES (NEW.worker_id, NEW.worker_name) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER note_incarnation AFTER INSERT ON forktex_flow.worker
    FOR EACH ROW EXECUTE FUNCTION public.note_incarnation();
";

/// Makes the tables beside those of the flow.
pub(crate) async fn lay(side: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(TABLES).execute(side).await.map(drop)
}

/// A few connections that go to the server itself.
pub(crate) fn side_pool(url: &str) -> Result<PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(3))
        .connect_lazy(url)
}

/// Tries again while the server is away.
pub(crate) async fn patiently<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(error) if tokio::time::Instant::now() < deadline && is_outage(&error) => {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Whether the server is away, starting, or on its way down.
fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.starts_with("57P") || code.starts_with("08")),
        error => matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_)
        ),
    }
}

/// The at-least-once ledger: one row for each body that began.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) pool: PgPool,
    pub(crate) worker: String,
}

impl Ledger {
    /// Notes a body that begins anew only where it was lost. Returns its token.
    pub(crate) async fn note(&self, ctx: &Ctx) -> StepResult<String> {
        self.write(ctx, false).await
    }

    /// Notes a body that also begins anew after it has rested.
    pub(crate) async fn note_resumed(&self, ctx: &Ctx) -> StepResult<String> {
        self.write(ctx, true).await
    }

    async fn write(&self, ctx: &Ctx, resumes: bool) -> StepResult<String> {
        let (node, visit) = (ctx.node(), ctx.visit());
        let token = format!("~{}/{node}/{visit}/{}~", self.worker, Uuid::now_v7());
        let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        patiently(|| async {
            // A row whose answer was lost is there already.
            sqlx::query(
                "INSERT INTO public.ledger (token, instance, node, visit, attempt, worker, resumes)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            )
            .bind(&token)
            .bind(ctx.instance_id().to_string())
            .bind(node.as_str())
            .bind(number(visit))
            .bind(number(ctx.attempt()))
            .bind(&self.worker)
            .bind(resumes)
            .execute(&self.pool)
            .await
        })
        .await
        .map_err(StepError::new)?;
        Ok(token)
    }
}
