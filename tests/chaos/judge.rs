// SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
//! What must be so after a round, as statements that find what is not. Beside each stands what breaks it,
//! so that a round can prove that the check would have found it.

use forktex::db::sqlx::{self, PgConnection, PgPool};
use forktex::flow::planted::PlantedFault;

/// Something that is not as it must be.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) check: &'static str,
    /// The run that it is about, if it is about one.
    pub(crate) instance: Option<String>,
    pub(crate) what: String,
}

/// A promise, and how it would be broken.
struct Check {
    name: &'static str,
    /// Answers with the run and the words for each violation.
    finds: &'static str,
    broken_by: &'static str,
}

/// The most violations that one check tells of.
const TOLD_MAX: usize = 5;

/// Every entry is written by the owner of its run: what a worker without a lease still does is refused.
const OWNED: &str = "an entry is written by the owner of its run";
const BOOKED: &str = "what a completed node booked is there once, and nothing else is";
const APPLIED: &str = "every signal is applied once";

/// The check that a planted fault is for.
pub(crate) fn meant_for(fault: PlantedFault) -> &'static str {
    match fault {
        PlantedFault::UnfencedWrite => OWNED,
        PlantedFault::CheckpointOutsideTransaction => BOOKED,
        PlantedFault::SignalConsumedFirst => APPLIED,
        _ => "a check that there is not yet",
    }
}

const CHECKS: [Check; 17] = [
    Check {
        name: "every run has ended",
        finds: "SELECT instance_id::text, workflow_name || ' is ' || status
                FROM forktex_flow.instance WHERE finished_at IS NULL",
        broken_by: "UPDATE forktex_flow.instance SET status = 'running', finished_at = NULL
                    WHERE instance_id = (SELECT instance_id FROM forktex_flow.instance
                                         WHERE status = 'completed' LIMIT 1)",
    },
    Check {
        name: "no row says that a run lives or is owned",
        finds: "SELECT instance_id::text, 'owner ' || coalesce(worker_id::text, 'none')
                    || ', waits on ' || coalesce(waits_on, 'nothing')
                FROM forktex_flow.active",
        broken_by: "INSERT INTO forktex_flow.active (instance_id, definition_id, worker_id)
                    VALUES (gen_random_uuid(), 1, gen_random_uuid())",
    },
    Check {
        name: "every run has ended as it had to",
        finds: "SELECT instance_id::text, workflow_name || ' is ' || status || ': '
                    || coalesce(failure::text, '')
                FROM forktex_flow.instance
                WHERE NOT CASE workflow_name
                    WHEN 'chaos.saga' THEN status = 'failed'
                        OR (status = 'cancelled' AND idempotency_key LIKE 'undo%')
                    WHEN 'chaos.bear' THEN status = 'cancelled'
                    WHEN 'chaos.chick' THEN status IN ('failed', 'cancelled')
                    ELSE status = 'completed' END",
        broken_by: "UPDATE forktex_flow.instance SET workflow_name = 'chaos.saga'
                    WHERE instance_id = (SELECT instance_id FROM forktex_flow.instance
                                         WHERE status = 'completed' LIMIT 1)",
    },
    Check {
        name: "every run that was acknowledged is there",
        finds: "SELECT instance, 'acknowledged under ' || key || ' and not there'
                FROM public.answer
                WHERE NOT EXISTS (SELECT FROM forktex_flow.instance
                                  WHERE instance_id = answer.instance::uuid)",
        broken_by: "DELETE FROM forktex_flow.instance
                    WHERE instance_id = (SELECT instance::uuid FROM public.answer LIMIT 1)",
    },
    Check {
        name: "a key is one run",
        finds: "SELECT min(instance), key || ' is ' || count(DISTINCT instance) || ' runs'
                FROM public.answer GROUP BY workflow, key HAVING count(DISTINCT instance) > 1",
        broken_by: "INSERT INTO public.answer (number, workflow, key, instance)
                    SELECT number, workflow, key, gen_random_uuid()::text FROM public.answer LIMIT 1",
    },
    Check {
        name: "journals have no gaps",
        finds: "SELECT instance_id::text, count(*) || ' entries up to ' || max(sequence)
                FROM forktex_flow.journal GROUP BY instance_id
                HAVING count(*) <> max(sequence) OR min(sequence) <> 1",
        broken_by: "DELETE FROM forktex_flow.journal
                    WHERE sequence = 2 AND instance_id = (
                        SELECT instance_id FROM forktex_flow.journal WHERE sequence = 3 LIMIT 1)",
    },
    Check {
        name: "each visit of a node is completed once",
        finds: "SELECT instance_id::text, node || ' #' || visit || ' is completed ' || count(*) || ' times'
                FROM forktex_flow.journal WHERE kind IN (1, 2, 14)
                GROUP BY instance_id, node, visit, kind = 14 HAVING count(*) > 1",
        broken_by: "INSERT INTO forktex_flow.journal (instance_id, sequence, elapsed_us, superstep,
                        visit, attempt, kind, member, stage, node, payload)
                    SELECT instance_id, 1000, elapsed_us, superstep, visit, attempt, kind, member,
                           stage, node, payload
                    FROM forktex_flow.journal WHERE kind = 1 LIMIT 1",
    },
    Check {
        name: "each durable call is answered once",
        finds: "SELECT instance_id::text, node || ' has a call ' || count(*) || ' times'
                FROM forktex_flow.journal WHERE kind = 11
                GROUP BY instance_id, node, visit, payload -> 'call' ->> 'key' HAVING count(*) > 1",
        broken_by: "INSERT INTO forktex_flow.journal (instance_id, sequence, elapsed_us, superstep,
                        visit, attempt, kind, member, stage, node, payload)
                    SELECT instance_id, 1000, elapsed_us, superstep, visit, attempt, kind, member,
                           stage, node, payload
                    FROM forktex_flow.journal WHERE kind = 11 LIMIT 1",
    },
    Check {
        name: BOOKED,
        finds: "SELECT coalesce(booked.instance, done.instance_id::text),
                    coalesce(booked.node, done.node) || ' #' || coalesce(booked.visit, done.visit)
                    || ': booked ' || coalesce(booked.token, 'nothing')
                    || ', completed by ' || coalesce(done.token, 'nobody')
                FROM public.booked
                FULL JOIN (
                    SELECT instance_id, node, visit, substring(payload::text FROM '~[^~]+~') AS token
                    FROM forktex_flow.journal WHERE kind = 1 AND node LIKE 'book%'
                ) AS done ON done.token = booked.token AND done.instance_id::text = booked.instance
                WHERE booked.token IS NULL OR done.token IS NULL
                UNION ALL
                SELECT min(instance), token || ' is booked ' || count(*) || ' times'
                FROM public.booked GROUP BY token HAVING count(*) > 1",
        broken_by: "INSERT INTO public.booked (instance, node, visit, token)
                    SELECT instance, node, visit, '~w0/again~' FROM public.booked LIMIT 1",
    },
    Check {
        name: "a body of each completed node is in the ledger",
        finds: "SELECT instance_id::text, node || ' #' || visit || ' has no row'
                FROM forktex_flow.journal
                WHERE kind IN (1, 14) AND NOT EXISTS (
                    SELECT FROM public.ledger
                    WHERE token = substring(payload::text FROM '~[^~]+~')
                      AND ledger.instance = journal.instance_id::text
                      AND ledger.node = journal.node AND ledger.visit = journal.visit)",
        broken_by: "DELETE FROM public.ledger WHERE token = (
                        SELECT substring(payload::text FROM '~[^~]+~') FROM forktex_flow.journal
                        WHERE kind = 1 LIMIT 1)",
    },
    Check {
        name: "bodies that came to nothing are no more than were under way at the blows",
        finds: "WITH lost AS (
                    SELECT worker, count(*) AS bodies, min(instance) AS instance
                    FROM public.ledger JOIN forktex_flow.instance
                        ON instance_id::text = ledger.instance AND status <> 'cancelled'
                    WHERE NOT resumes AND NOT EXISTS (
                        SELECT FROM forktex_flow.journal
                        WHERE kind IN (1, 3) AND journal.instance_id = instance.instance_id
                          AND journal.node = ledger.node
                          AND position(ledger.token IN payload::text) > 0)
                    GROUP BY worker
                ), allowed AS (
                    SELECT worker, sum(bodies) AS bodies FROM (
                        SELECT worker, bodies FROM public.blow
                        UNION ALL
                        -- Who had to begin again under another name had lost its lease.
                        SELECT worker, 48 * (count(*) - 1) FROM public.incarnation GROUP BY worker
                    ) AS each GROUP BY worker
                )
                SELECT lost.instance, lost.worker || ' lost ' || lost.bodies || ' bodies, and '
                    || coalesce(allowed.bodies, 0) || ' were under way at the blows to it'
                FROM lost LEFT JOIN allowed USING (worker)
                WHERE lost.bodies > coalesce(allowed.bodies, 0)",
        broken_by: "INSERT INTO public.ledger (token, instance, node, visit, attempt, worker, resumes)
                    SELECT '~w0/lost~', instance_id::text, 'pack', 1, 1, 'w0', false
                    FROM forktex_flow.instance WHERE status = 'completed' LIMIT 1",
    },
    Check {
        name: OWNED,
        finds: "SELECT instance_id::text, node || ' #' || visit || ' is by '
                    || substring(payload::text FROM '~[^~]+~') || ', and the owner was '
                    || coalesce(incarnation.worker, 'nobody')
                FROM forktex_flow.journal
                LEFT JOIN public.incarnation ON incarnation.worker_id = journal.owner
                WHERE kind IN (1, 14)
                  AND substring(payload::text FROM '~([^~/]+)/') IS DISTINCT FROM incarnation.worker",
        broken_by: "UPDATE forktex_flow.journal SET owner = gen_random_uuid()
                    WHERE kind = 1 AND sequence = 1",
    },
    Check {
        name: "every signal that was acknowledged is in an inbox",
        finds: "SELECT instance, word || ' is not there' FROM public.answer
                WHERE word IS NOT NULL AND NOT EXISTS (
                    SELECT FROM forktex_flow.inbox
                    WHERE inbox.instance_id = answer.instance::uuid
                      AND inbox.idempotency_key = answer.word)",
        broken_by: "DELETE FROM forktex_flow.inbox WHERE kind = 1",
    },
    Check {
        name: APPLIED,
        finds: "SELECT inbox.instance_id::text, idempotency_key || ' is '
                    || CASE WHEN is_taken THEN 'taken' ELSE 'not taken' END || ' and is in '
                    || count(journal.sequence) || ' entries'
                FROM forktex_flow.inbox LEFT JOIN forktex_flow.journal
                    ON journal.instance_id = inbox.instance_id AND journal.kind IN (9, 11)
                    AND message_id::text IN (journal.payload ->> 'message',
                                             journal.payload #>> '{call,answer,signal,message}')
                WHERE inbox.kind = 1
                GROUP BY inbox.instance_id, message_id, idempotency_key, is_taken
                HAVING NOT is_taken OR count(journal.sequence) <> 1",
        broken_by: "UPDATE forktex_flow.journal SET payload = '{}'
                    WHERE kind = 9 AND instance_id = (
                        SELECT instance_id FROM forktex_flow.journal WHERE kind = 9 LIMIT 1)",
    },
    Check {
        name: "each tick of the schedule is one run",
        finds: "SELECT NULL::text, count(*) || ' runs of ' || count(DISTINCT tick) || ' ticks in '
                    || extract(epoch FROM max(tick) - min(tick)) / 60 + 1 || ' minutes'
                FROM (SELECT (metadata ->> 'scheduled_for')::timestamptz AS tick
                      FROM forktex_flow.instance WHERE workflow_name = 'chaos.tick') AS ticks
                HAVING count(*) <> count(DISTINCT tick)
                    OR count(*) <> coalesce(extract(epoch FROM max(tick) - min(tick)) / 60 + 1, 0)",
        broken_by: "DELETE FROM forktex_flow.instance WHERE instance_id = (
                        SELECT instance_id FROM forktex_flow.instance
                        WHERE workflow_name = 'chaos.tick'
                        ORDER BY metadata ->> 'scheduled_for' OFFSET 1 LIMIT 1)",
    },
    Check {
        name: "each parent has its children once",
        finds: "SELECT parent.instance_id::text, 'it has ' || count(child.instance_id) || ' children'
                FROM forktex_flow.instance AS parent
                LEFT JOIN forktex_flow.instance AS child ON child.parent_id = parent.instance_id
                WHERE parent.workflow_name = 'chaos.fan'
                GROUP BY parent.instance_id HAVING count(child.instance_id) <> 5",
        broken_by: "DELETE FROM forktex_flow.instance WHERE instance_id = (
                        SELECT instance_id FROM forktex_flow.instance
                        WHERE parent_id IS NOT NULL LIMIT 1)",
    },
    Check {
        name: "every errand is done",
        finds: "SELECT NULL::text, errand FROM public.errand WHERE done_at IS NULL",
        broken_by: "UPDATE public.errand SET done_at = NULL WHERE number = 1",
    },
];

/// Everything that is not as it must be.
pub(crate) async fn judge(side: &PgPool) -> Result<Vec<Violation>, sqlx::Error> {
    let mut connection = side.acquire().await?;
    let mut violations = Vec::new();
    for check in &CHECKS {
        violations.extend(check.look(&mut connection).await?);
    }
    Ok(violations)
}

/// Breaks each promise in turn, in a transaction that is rolled back. Returns the names of the checks
/// that did not find what was broken for them.
pub(crate) async fn blind_checks(side: &PgPool) -> Result<Vec<&'static str>, sqlx::Error> {
    let mut blind = Vec::new();
    for check in &CHECKS {
        let mut transaction = side.begin().await?;
        sqlx::raw_sql(check.broken_by)
            .execute(&mut *transaction)
            .await?;
        if check.look(&mut transaction).await?.is_empty() {
            blind.push(check.name);
        }
        transaction.rollback().await?;
    }
    Ok(blind)
}

/// How many checks there are.
pub(crate) const fn count() -> usize {
    CHECKS.len()
}

impl Check {
    async fn look(&self, connection: &mut PgConnection) -> Result<Vec<Violation>, sqlx::Error> {
        let rows: Vec<(Option<String>, String)> =
            sqlx::query_as(self.finds).fetch_all(connection).await?;
        let violations = rows.into_iter().take(TOLD_MAX);
        let violations = violations.map(|(instance, what)| Violation {
            check: self.name,
            instance,
            what,
        });
        Ok(violations.collect())
    }
}

/// The history of a run, a line an entry.
pub(crate) async fn history(side: &PgPool, instance: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT line FROM (
             SELECT 1 AS part, sequence AS place,
                    format('%s  kind %s  %s #%s  attempt %s  at %s  owner %s  %s', sequence, kind, node,
                           visit, attempt, to_char(recorded_at, 'HH24:MI:SS.MS'),
                           coalesce(worker, 'nobody'), left(payload::text, 200)) AS line
             FROM forktex_flow.journal LEFT JOIN public.incarnation ON worker_id = owner
             WHERE instance_id = $1::uuid
             UNION ALL
             SELECT 2, row_number() OVER (ORDER BY at),
                    format('ledger  %s  attempt %s  at %s', token, attempt,
                           to_char(at, 'HH24:MI:SS.MS'))
             FROM public.ledger WHERE instance = $1
             UNION ALL
             SELECT 3, number, format('booked  %s', token) FROM public.booked WHERE instance = $1
             UNION ALL
             SELECT 4, 1, format('active  epoch %s  owner %s  ready %s  waits on %s until %s  losses %s',
                                 epoch, worker_id, ready_at, waits_on, wake_at, losses)
             FROM forktex_flow.active WHERE instance_id = $1::uuid
             UNION ALL
             SELECT 5, message_id, format('inbox  %s  %s  %s  delivered %s  taken %s', message_id, name,
                                          idempotency_key, is_delivered, is_taken)
             FROM forktex_flow.inbox WHERE instance_id = $1::uuid
         ) AS told ORDER BY part, place LIMIT 60",
    )
    .bind(instance)
    .fetch_all(side)
    .await
}
