-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Gives a fresh database to its owner, and to the application role what the owner makes later.
-- Locks: the database's privileges. Index: none.
-- Lets the application role use what the owner creates later, and create nothing itself.
-- Run in the new database. Its `public` schema belongs to the database's owner since Postgres 15.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO forktex_test_owner;
GRANT USAGE ON SCHEMA public TO forktex_test_application;
ALTER DEFAULT PRIVILEGES FOR ROLE forktex_test_owner
    GRANT USAGE ON SCHEMAS TO forktex_test_application;
ALTER DEFAULT PRIVILEGES FOR ROLE forktex_test_owner
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO forktex_test_application;
ALTER DEFAULT PRIVILEGES FOR ROLE forktex_test_owner
    GRANT USAGE, SELECT ON SEQUENCES TO forktex_test_application;
ALTER DEFAULT PRIVILEGES FOR ROLE forktex_test_owner
    GRANT EXECUTE ON FUNCTIONS TO forktex_test_application;
