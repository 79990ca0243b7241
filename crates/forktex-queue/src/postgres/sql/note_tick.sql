-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Notes that a tick of a schedule is fired, unless that one or a later one was.
-- Locks: the schedule's row. Index: schedule_tick_pkey.
INSERT INTO forktex_queue.schedule_tick (schedule, tick)
VALUES ($1, $2)
ON CONFLICT (schedule) DO UPDATE SET tick = excluded.tick, fired_at = now()
WHERE schedule_tick.tick < excluded.tick
