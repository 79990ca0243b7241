-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Puts jobs in as `put_jobs` does, those that have a unique key only where they get its lock: it is free,
-- or its time is over. No two of them have the same key. Says of each whether it was put in, and who held
-- the lock as the statement began; neither is so where the holder came or went meanwhile: ask again.
-- Locks: the unique locks in the order of their keys. Index: unique_lock_pkey, job_pkey, ready_next.
WITH clock AS MATERIALIZED (
    SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS now_us
), given AS MATERIALIZED (
    SELECT given.*, clock.now_us,
           greatest(coalesce(given.at_us, clock.now_us + given.after_us), clock.now_us) AS due_us
    FROM clock
    CROSS JOIN unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::smallint[],
        $7::bigint[], $8::bigint[], $9::integer[], $10::bigint[], $11::text[], $12::text[],
        $13::integer[], $14::integer[], $15::bigint[], $16::text[], $17::smallint[], $18::bigint[]
    ) WITH ORDINALITY AS given (
        job_id, queue, name, tenant, payload, priority, after_us, at_us, attempts_max, timeout_us,
        trace_parent, limit_key, limit_concurrency, rate_count, rate_per_us, unique_key, unique_mode,
        unique_for_us, number
    )
), locked AS (
    INSERT INTO forktex_queue.unique_lock (queue, unique_key, job_id, until)
    SELECT queue, unique_key, job_id,
           statement_timestamp() + unique_for_us * interval '1 microsecond'
    FROM given
    WHERE unique_key IS NOT NULL
    ORDER BY queue COLLATE "C", unique_key COLLATE "C"
    ON CONFLICT (queue, unique_key) DO UPDATE SET job_id = excluded.job_id, until = excluded.until
    WHERE unique_lock.until <= statement_timestamp()
    RETURNING job_id
), inserted AS (
    INSERT INTO forktex_queue.job (
        job_id, enqueued_at, score, timeout_us, due_at, unique_for_us, rate_per_us, attempts_max,
        limit_concurrency, rate_count, priority, place, unique_mode, queue, name, tenant,
        trace_parent, unique_key, limit_key, payload
    )
    SELECT job_id, statement_timestamp(), due_us + number - 1 - priority::bigint * 30000000, timeout_us,
           CASE WHEN due_us > now_us
               THEN timestamptz 'epoch' + due_us * interval '1 microsecond' END,
           unique_for_us, rate_per_us, attempts_max, limit_concurrency, rate_count, priority,
           CASE WHEN due_us > now_us THEN 1 ELSE 0 END,
           unique_mode, queue, name, tenant, trace_parent, unique_key, limit_key, payload
    FROM given
    WHERE unique_key IS NULL OR job_id IN (SELECT locked.job_id FROM locked)
    RETURNING job_id, queue, tenant, score, place, limit_key
), readied AS (
    INSERT INTO forktex_queue.ready (score, job_id, is_limited, queue, tenant)
    SELECT score, job_id, limit_key IS NOT NULL, queue, tenant FROM inserted WHERE place = 0
)
SELECT given.job_id, inserted.job_id IS NOT NULL AS is_inserted, holder.job_id AS holder_id
FROM given
LEFT JOIN inserted ON inserted.job_id = given.job_id
LEFT JOIN forktex_queue.unique_lock AS holder
    ON holder.queue = given.queue AND holder.unique_key = given.unique_key
