-- How far a generation is, for the worker that carries it on.

-- name: offsets
-- Where does ingest stand in each partition of these topics?
SELECT topic, partition, next_offset FROM ingest_partitions WHERE topic = ANY($1::text[]);

-- name: partitions
-- By how many partitions are streams hashed? Null before the catalog's first record was applied.
SELECT partitions FROM installation;

-- name: halts
-- In which partitions is nothing more applied, and why? (The schema's name is filled in.)
SELECT topic, partition, reason FROM {generation}.halts ORDER BY topic, partition;

-- name: has_other_owner
-- Does a worker that lives write a part of this generation, besides the one of this name?
SELECT EXISTS (SELECT FROM ingest_partitions p
               JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
               WHERE p.owner <> $1);

-- name: has_owner
-- Does a worker that lives write this generation? (The schema's name is filled in.)
SELECT EXISTS (SELECT FROM {generation}.ingest_partitions p
               JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start);
