-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- The status of a run. Locks: none. Index: instance_pkey.
SELECT status FROM forktex_flow.instance WHERE instance_id = $1
