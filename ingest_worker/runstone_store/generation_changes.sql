-- How generations begin, change and end.

-- name: begin
-- A new generation: what is its name?
INSERT INTO runstone_meta.generations (generation, until, rate, asked)
VALUES ('runstone_g' || nextval('runstone_meta.generation_number'), $1, $2, $3)
RETURNING generation;

-- name: become
-- Does the generation go from one of these states into that one? At most one row.
UPDATE runstone_meta.generations SET state = $3, state_at = now()
WHERE generation = $1 AND state = ANY($2::text[])
RETURNING generation;

-- name: take_pointer
-- Which generation is live? Nobody flips it before this transaction ends.
SELECT generation FROM runstone_meta.live FOR UPDATE;

-- name: point
-- From now on people read this generation.
UPDATE runstone_meta.live SET generation = $1;

-- name: short_locks
-- How long may this transaction wait for a lock? Less than the second after which Postgres looks for
-- dead-locks and may end a reader's transaction instead of this one.
SET LOCAL lock_timeout = '200ms';

-- name: batch_locks
-- How long may this transaction wait for a batch that is being written?
SET LOCAL lock_timeout = '2s';

-- name: stop_ingest
-- Where does ingest stand in each partition of a generation? It stands still there until the transaction ends.
SELECT topic, partition, next_offset FROM {generation}.ingest_partitions ORDER BY topic, partition FOR SHARE;

-- name: offsets
-- Where does ingest stand in each partition of a generation?
SELECT topic, partition, next_offset FROM {generation}.ingest_partitions;

-- name: offsets_here
-- The same where the search path names the generation.
SELECT topic, partition, next_offset FROM ingest_partitions;

-- name: last_retired
-- Which generation that still ingests was live before this one?
SELECT generation FROM runstone_meta.generations WHERE state = 'retired' ORDER BY state_at DESC LIMIT 1;

-- name: end_owners
-- End the connections that write a generation: its workers are told, and one that does not stop is stuck.
SELECT count(pg_terminate_backend(a.pid))
FROM {generation}.ingest_partitions p
JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
WHERE a.pid <> pg_backend_pid();

-- name: drop
-- The end of a generation, with everything in it.
DROP SCHEMA IF EXISTS {generation} CASCADE;

-- name: forget
-- A generation that is dropped leaves nothing behind.
WITH gone AS (DELETE FROM runstone_meta.migrations WHERE target = $1)
DELETE FROM runstone_meta.generations WHERE generation = $1;

-- name: size
-- How many bytes do a generation's tables take, indexes included?
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r';
