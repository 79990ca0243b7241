-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What a namespace uses now. Locks: none. Index: active_by_namespace, instance_by_namespace.
SELECT (SELECT count(*) FROM forktex_flow.active WHERE namespace = $1) AS active_runs,
       (SELECT count(*) FROM forktex_flow.instance
        WHERE namespace = $1 AND namespace <> ''
          AND created_at > clock_timestamp() - interval '1 minute') AS starts,
       (SELECT extract(epoch FROM min(created_at) + interval '1 minute' - clock_timestamp())
            ::double precision
        FROM forktex_flow.instance
        WHERE namespace = $1 AND namespace <> ''
          AND created_at > clock_timestamp() - interval '1 minute') AS seconds_until_next
