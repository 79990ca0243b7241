-- SPDX-License-Identifier: AGPL-3.0-or-later OR LicenseRef-ForkTex-Commercial
-- Creates the owner and the application role, neither of them a superuser nor BYPASSRLS.
-- Locks: the new roles. Index: none.
-- Creates the two roles of the test kit unless they are there.
-- Locks: an advisory lock, since processes that share a server come here at the same time.
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(7239140276);
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'forktex_test_owner') THEN
        CREATE ROLE forktex_test_owner LOGIN PASSWORD 'forktex_test'
            NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'forktex_test_application') THEN
        CREATE ROLE forktex_test_application LOGIN PASSWORD 'forktex_test'
            NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
    -- An administrator who is no superuser must be a member of a role to give it a database, and
    -- to end its sessions.
    IF NOT pg_catalog.pg_has_role(current_user, 'forktex_test_owner', 'USAGE') THEN
        GRANT forktex_test_owner TO CURRENT_USER;
    END IF;
    IF NOT pg_catalog.pg_has_role(current_user, 'forktex_test_application', 'USAGE') THEN
        GRANT forktex_test_application TO CURRENT_USER;
    END IF;
END
$$;
