-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts one job in that has no unique lock, as `put_jobs` does many: cheaper than the arrays.
-- Locks: none but the new rows. Index: job_pkey, ready_next.
WITH clock AS (
    SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS now_us
), due AS (
    SELECT now_us, greatest(coalesce($8::bigint, now_us + $7::bigint), now_us) AS due_us FROM clock
), inserted AS (
    INSERT INTO forktex_queue.job (
        job_id, enqueued_at, score, timeout_us, due_at, rate_per_us, attempts_max,
        limit_concurrency, rate_count, priority, place, queue, name, tenant, trace_parent, limit_key,
        payload
    )
    SELECT $1::uuid, statement_timestamp(), due_us - $6::bigint * 30000000, $10::bigint,
           CASE WHEN due_us > now_us
               THEN timestamptz 'epoch' + due_us * interval '1 microsecond' END,
           $15::bigint, $9::integer, $13::integer, $14::integer, $6::smallint,
           CASE WHEN due_us > now_us THEN 1 ELSE 0 END,
           $2::text, $3::text, $4::text, $11::text, $12::text, $5::bytea
    FROM due
    RETURNING job_id, queue, tenant, score, place, limit_key
)
INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM inserted WHERE place = 0
