-- What the migration runner asks and writes; every name is qualified, because search_path moves meanwhile.

-- name: lock
-- Only one migration runs in a database at a time (the number spells "rs" and "migr").
SELECT pg_advisory_xact_lock(29299, 1835624306);

-- name: bookkeeping
-- The schema of the bookkeeping, and the list of what has been applied to which schema.
CREATE SCHEMA IF NOT EXISTS runstone_meta;
CREATE TABLE IF NOT EXISTS runstone_meta.migrations (
    target      text    NOT NULL,                        -- the schema that was changed
    number      integer NOT NULL,
    name        text    NOT NULL,
    checksum    text    NOT NULL,                        -- SHA-256 of the file's bytes
    applied_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (target, number)
);

-- name: applied
-- Which migrations have been applied, to which schema, from which text?
SELECT target, number, checksum FROM runstone_meta.migrations;

-- name: all_generations
-- Which generations are there? They are migrated alike.
SELECT generation FROM runstone_meta.generations ORDER BY created_at, generation;
