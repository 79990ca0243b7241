-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Keeps everybody else out until the transaction ends.
LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE
