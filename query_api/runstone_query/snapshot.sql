-- name: answers
-- Can a row of the generation be read?
SELECT count(*) FROM (SELECT FROM {schema}.runs LIMIT 1) one

-- name: applied
-- How far has each partition of the live generation been applied? As the text of {"topic": {"partition": offset}}.
SELECT
    (SELECT generation FROM runstone_meta.live) AS generation,
    (SELECT json_object_agg(topic, partitions)
     FROM (SELECT topic, json_object_agg(partition, next_offset) AS partitions
           FROM {schema}.ingest_partitions GROUP BY topic) per_topic) AS applied
