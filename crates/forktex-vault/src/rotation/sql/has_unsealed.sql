-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Whether a row has a plain value and no sealed one. Locks: none. Index: none, it reads the table until
-- it finds one.
SELECT EXISTS (SELECT FROM {table} WHERE {source} IS NOT NULL AND {column} IS NULL) AS has_unsealed
