-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Reads the epoch of a run, whoever owns it. Locks: none. Index: active_pkey.
SELECT epoch FROM forktex_flow.active WHERE instance_id = $1
