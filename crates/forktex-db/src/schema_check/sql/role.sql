-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Whether policies bind the role that this session works as. Locks: none. Index: pg_authid_rolname_index.
SELECT NOT (role.rolsuper OR role.rolbypassrls) AS is_bound
FROM pg_roles AS role
WHERE role.rolname = current_user
