-- Dead letters, for people.

-- name: list
-- The newest dead letters, of one stream or of all.
SELECT topic, partition, "offset", stream, session, first_seq, n, length(value) AS bytes,
       (extract(epoch FROM at) * 1000)::bigint AS at, reason
FROM dead_letters WHERE $1::text IS NULL OR stream = $1 OR key = convert_to($1, 'UTF8')
ORDER BY at DESC, topic, partition, "offset" DESC LIMIT $2;

-- name: count
-- How many are there?
SELECT count(*) FROM dead_letters WHERE $1::text IS NULL OR stream = $1 OR key = convert_to($1, 'UTF8');

-- name: one
-- All of one dead letter.
SELECT topic, partition, "offset", stream, session, first_seq, n, key, value, headers,
       (extract(epoch FROM at) * 1000)::bigint AS at, reason
FROM dead_letters WHERE topic = $1 AND partition = $2 AND "offset" = $3;

-- name: all_places
-- Where does each lie?
SELECT topic, partition, "offset" FROM dead_letters ORDER BY topic, partition, "offset";

-- name: partitions
-- By how many partitions are streams hashed?
SELECT partitions FROM installation;
