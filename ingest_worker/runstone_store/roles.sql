-- The role that can only read.

-- name: reader_exists
-- Is the reading role there, and with which settings?
SELECT rolconfig FROM pg_roles WHERE rolname = 'runstone_reader';

-- name: create_reader
-- A role without login: grant it to whoever may read. A race with another database's migration is no error.
DO $$ BEGIN
    CREATE ROLE runstone_reader NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- name: limit_reader
-- A member that logs in as this role cannot write and cannot run a query for ever.
ALTER ROLE runstone_reader SET default_transaction_read_only = on;
ALTER ROLE runstone_reader SET statement_timeout = '30s';

-- name: may_become_reader
-- Is this connection's user allowed to SET ROLE runstone_reader?
SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = 'runstone_reader';

-- name: grant_reader_to_us
-- Let the migrating user become the reader: a read API without a DSN of its own switches to it.
GRANT runstone_reader TO CURRENT_USER;

-- name: grant_schema
-- Let the reading role read one schema, what later migrations add included. (The schema's name is filled in.)
GRANT USAGE ON SCHEMA {schema} TO runstone_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO runstone_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO runstone_reader;

-- name: become_reader
-- Give up every right but reading, for as long as the connection lives.
SET ROLE runstone_reader;
