-- name: is_there
-- Is there a generation of this name?
SELECT EXISTS (SELECT FROM runstone_meta.generations WHERE generation = $1 AND state <> 'dropping')

-- name: applied_offsets
-- How far has each partition been applied? The text of {"topic": {"partition": next offset}}, null for none.
(SELECT json_object_agg(topic, partitions)
 FROM (SELECT topic, json_object_agg(partition, next_offset) AS partitions
       FROM {schema}.ingest_partitions GROUP BY topic) per_topic)

-- name: applied
-- How far has each partition of the live generation been applied?
SELECT (SELECT generation FROM runstone_meta.live) AS generation, {applied_offsets} AS applied

-- name: lookup
-- What does a statement answer, in which generation, and after what? At least one row, found or not.
SELECT (SELECT generation FROM runstone_meta.live) AS generation, {applied} AS applied, found.*
FROM (VALUES (1)) one LEFT JOIN LATERAL (SELECT true AS is_found, s.* FROM ({statement}) s) found ON true
