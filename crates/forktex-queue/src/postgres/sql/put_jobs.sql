-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts jobs in that have no unique lock, those of one statement in the order in which they are given.
-- Locks: none but the new rows. Index: job_pkey, ready_next.
WITH clock AS MATERIALIZED (
    SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS now_us
), inserted AS (
    INSERT INTO forktex_queue.job (
        job_id, enqueued_at, score, timeout_us, due_at, rate_per_us, attempts_max,
        limit_concurrency, rate_count, priority, place, queue, name, tenant, trace_parent, limit_key,
        payload
    )
    SELECT job_id, statement_timestamp(), due_us + number - 1 - priority::bigint * 30000000, timeout_us,
           CASE WHEN due_us > now_us
               THEN timestamptz 'epoch' + due_us * interval '1 microsecond' END,
           rate_per_us, attempts_max, limit_concurrency, rate_count, priority,
           CASE WHEN due_us > now_us THEN 1 ELSE 0 END,
           queue, name, tenant, trace_parent, limit_key, payload
    FROM (
        SELECT given.*, clock.now_us,
               greatest(coalesce(given.at_us, clock.now_us + given.after_us), clock.now_us) AS due_us
        FROM clock
        CROSS JOIN unnest(
            $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::smallint[],
            $7::bigint[], $8::bigint[], $9::integer[], $10::bigint[], $11::text[], $12::text[],
            $13::integer[], $14::integer[], $15::bigint[]
        ) WITH ORDINALITY AS given (
            job_id, queue, name, tenant, payload, priority, after_us, at_us, attempts_max, timeout_us,
            trace_parent, limit_key, limit_concurrency, rate_count, rate_per_us, number
        )
    ) AS given
    RETURNING job_id, queue, tenant, score, place, limit_key
)
INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM inserted WHERE place = 0
