-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Renews a worker's lease and its leadership, and tells whether there is anything to do.
-- Once a second at most: the only statement that an idle process sends.
-- Locks: its own worker row; the leader row where it leads.
-- Index: worker_pkey, leader_pkey, worker_by_lease, active_ready, active_asleep, active_cancelling,
-- active_pkey, inbox_undelivered, inbox_turns, schedule_due.
WITH RECURSIVE renewed AS (
    UPDATE forktex_flow.worker
    SET lease_until = clock_timestamp() + $2 * interval '1 microsecond', definition_ids = $3
    WHERE worker_id = $1 AND retired_at IS NULL
    RETURNING worker_id
), leadership AS (
    UPDATE forktex_flow.leader
    SET renewed_at = clock_timestamp()
    WHERE worker_id = $1
    RETURNING worker_id
), ready AS (
    -- From one namespace and definition with ready runs, or suspects, to the next, until one is of this
    -- worker's definitions; after 100 of others it says that there may be some.
    SELECT kind.suspicion, ''::text COLLATE "C" AS namespace, 0::bigint AS definition_id,
           false AS is_mine, 0 AS step
    FROM (VALUES (0), (1)) AS kind (suspicion)
    UNION ALL
    SELECT ready.suspicion, next.namespace, next.definition_id,
           next.definition_id = ANY ($3::bigint[]), ready.step + 1
    FROM ready
    CROSS JOIN LATERAL (
        SELECT coalesce(active.namespace, '') COLLATE "C" AS namespace, active.definition_id
        FROM forktex_flow.active
        WHERE least(active.losses, 1) = ready.suspicion
          AND active.ready_at IS NOT NULL AND active.paused_at IS NULL
          AND (coalesce(active.namespace, '') COLLATE "C", active.definition_id)
              > (ready.namespace, ready.definition_id)
        ORDER BY coalesce(active.namespace, '') COLLATE "C", active.definition_id
        LIMIT 1
    ) AS next
    WHERE NOT ready.is_mine AND ready.step < 100
)
SELECT
    EXISTS (SELECT FROM renewed) AS lease_held,
    EXISTS (SELECT FROM leadership) AS is_leading,
    (SELECT extract(epoch FROM clock_timestamp() - leader.renewed_at)::double precision
     FROM forktex_flow.leader) AS leader_age_seconds,
    EXISTS (
        SELECT FROM ready WHERE suspicion = 0 AND (is_mine OR step = 100)
    ) AS runs_ready,
    EXISTS (
        SELECT FROM ready WHERE suspicion = 1 AND (is_mine OR step = 100)
    ) AS suspects_ready,
    EXISTS (SELECT FROM forktex_flow.active WHERE wake_at <= now()) AS runs_due,
    EXISTS (SELECT FROM forktex_flow.inbox WHERE NOT is_delivered)
        OR EXISTS (SELECT FROM forktex_flow.inbox WHERE kind = 2 AND NOT is_passed_on)
        AS messages_undelivered,
    EXISTS (
        SELECT FROM forktex_flow.worker
        WHERE worker.lease_until < now() AND worker.worker_id <> $1
          AND (
              worker.retired_at IS NULL
              OR worker.retired_at < now() - interval '1 minute'
              OR EXISTS (
                  SELECT FROM forktex_flow.active
                  WHERE active.worker_id = worker.worker_id
                    AND (active.cancel_deadline IS NULL OR active.cancel_deadline > now())
              )
          )
    ) AS leases_lost,
    (SELECT revision FROM forktex_flow.runtime_revision) AS runtime_revision,
    EXISTS (
        SELECT FROM forktex_flow.active WHERE cancel_deadline < now()
    ) AS cancellations_overdue,
    (
        SELECT extract(epoch FROM min(
            CASE
                WHEN waiting_tick IS NOT NULL AND NOT EXISTS (
                    SELECT FROM forktex_flow.active
                    WHERE active.instance_id = ANY (schedule.living_instance_ids)
                ) THEN least(waiting_tick, next_fire_at)
                ELSE next_fire_at
            END
        ) - clock_timestamp())::double precision
        FROM forktex_flow.schedule
        WHERE is_enabled AND definition_id = ANY ($3)
    ) AS schedule_due_in_seconds,
    cancelling.instance_ids AS cancelling_instance_ids,
    cancelling.seconds_left AS cancelling_seconds_left
FROM (
    SELECT
        coalesce(array_agg(instance_id), '{}') AS instance_ids,
        coalesce(
            array_agg(extract(epoch FROM cancel_deadline - clock_timestamp())::double precision),
            '{}'
        ) AS seconds_left
    FROM forktex_flow.active
    WHERE worker_id = $1 AND cancel_deadline IS NOT NULL
) AS cancelling
