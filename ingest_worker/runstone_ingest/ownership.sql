-- Which worker writes which partition.

-- name: ensure_partitions
-- A row for every partition that is assigned to us. Those that are there are left out first: to see that one
-- conflicts would mean waiting for whoever holds its lock.
INSERT INTO ingest_partitions (topic, partition)
SELECT topic, partition FROM unnest($1::text[], $2::int[]) AS assigned (topic, partition)
WHERE NOT EXISTS (SELECT FROM ingest_partitions p
                  WHERE p.topic = assigned.topic AND p.partition = assigned.partition)
ORDER BY topic, partition
ON CONFLICT DO NOTHING;

-- name: take_partition
-- From now on this connection writes the partition: from where, and what was the last record applied?
UPDATE ingest_partitions
SET epoch = epoch + 1, owner = $3, backend_pid = pg_backend_pid(),
    backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
WHERE topic = $1 AND partition = $2
RETURNING epoch, next_offset, last_hash, dead_accepted_until;

-- name: terminate_owner
-- End the connection of the partition's owner, which has held its row for longer than we wait.
SELECT pg_terminate_backend(a.pid)
FROM ingest_partitions p JOIN pg_stat_activity a ON a.pid = p.backend_pid AND a.backend_start = p.backend_start
WHERE p.topic = $1 AND p.partition = $2 AND a.pid <> pg_backend_pid();

-- name: claim_place
-- Is this place among the workers of this generation free? It is ours for as long as the connection lives.
SELECT pg_try_advisory_lock(29299, hashtext(current_schema()) / 1024 * 1024 + $1::int);

-- name: halts
-- Which of these partitions halt, why and since when?
SELECT h.topic, h.partition, h.reason, h.at
FROM unnest($1::text[], $2::int[]) AS asked (topic, partition)
JOIN halts h ON h.topic = asked.topic AND h.partition = asked.partition
ORDER BY h.topic, h.partition;

-- name: end_halts_of_other_versions
-- What was poison to another version may be none to this one.
DELETE FROM halts h USING unnest($1::text[], $2::int[]) AS taken (topic, partition)
WHERE h.topic = taken.topic AND h.partition = taken.partition AND h.kind = 'poison' AND h.version <> $3;

-- name: save_halt
-- The partition halts, if it is still ours.
INSERT INTO halts (topic, partition, kind, reason, version)
SELECT topic, partition, $4, $5, $6 FROM ingest_partitions WHERE topic = $1 AND partition = $2 AND epoch = $3
ON CONFLICT DO NOTHING;

-- name: installation
-- Which installation was the read model made from?
SELECT installation_id FROM installation;
