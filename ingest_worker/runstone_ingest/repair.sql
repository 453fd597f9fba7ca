-- Partitions that halt, and the decisions that end it.

-- name: halts
-- Which partitions halt, why, and how far are they applied?
SELECT h.topic, h.partition, h.kind, h.reason, h.version, (extract(epoch FROM h.at) * 1000)::bigint AS at,
       p.next_offset
FROM halts h JOIN ingest_partitions p ON p.topic = h.topic AND p.partition = h.partition
ORDER BY h.topic, h.partition;

-- name: findings
-- What is wrong with the topics' settings?
SELECT finding, (extract(epoch FROM at) * 1000)::bigint AS at FROM ledger_findings ORDER BY finding;

-- name: end_halt
-- The partition does not halt any more.
DELETE FROM halts WHERE topic = $1 AND partition = $2 RETURNING kind;

-- name: accept_dead
-- Below this offset bad records do not trip the breaker.
UPDATE ingest_partitions SET dead_accepted_until = greatest(dead_accepted_until, $3)
WHERE topic = $1 AND partition = $2;

-- name: reread
-- The partition is read again from this offset, with nothing that its first record must fit to.
UPDATE ingest_partitions
SET epoch = epoch + 1, next_offset = $3, last_hash = NULL, records = 0, duplicates = 0, dead = 0,
    dead_accepted_until = 0
WHERE topic = $1 AND partition = $2;

-- name: forget_dead_letters
-- Reading the partition again finds them again.
DELETE FROM dead_letters WHERE topic = $1 AND partition = $2;

-- name: forget_installation
-- The first record of the topics that were made again says anew whose they are.
DELETE FROM installation;
