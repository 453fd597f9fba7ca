-- name: answers
-- Can a row of the generation be read?
SELECT count(*) FROM (SELECT FROM {schema}.runs LIMIT 1) one

-- name: applied
-- How far has each partition been applied?
SELECT topic, partition, next_offset FROM {schema}.ingest_partitions
