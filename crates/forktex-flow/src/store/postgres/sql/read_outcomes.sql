-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- What became of some runs. Locks: none. Index: instance_pkey.
SELECT instance.instance_id, instance.status, instance.failure::text AS failure,
       instance.cancel_reason,
       CASE WHEN instance.status = 'completed' THEN instance.input END AS input
FROM forktex_flow.instance
WHERE instance.instance_id = ANY ($1::uuid[])
