-- Merging chunks.

-- name: runs_with_chunks
-- Which runs of these partitions have chunks that were not merged? From run to run along the index, so that
-- this does not read every chunk.
WITH RECURSIVE found AS (
    (SELECT run_id FROM metric_chunks ORDER BY run_id LIMIT 1)
    UNION ALL
    SELECT (SELECT c.run_id FROM metric_chunks c WHERE c.run_id > f.run_id ORDER BY c.run_id LIMIT 1)
    FROM found f WHERE f.run_id IS NOT NULL)
SELECT r.run_id, r.topic_partition FROM found f JOIN runs r ON r.run_id = f.run_id
WHERE r.topic_partition = ANY($1::int[]);

-- name: newest
-- Up to which offset does a run have chunks that were not merged?
SELECT max(first_offset) FROM metric_chunks WHERE run_id = $1;

-- name: try_lock
-- Is this run's merging ours until the transaction ends? It never waits. Whoever throws the run's chunks away
-- holds the same lock (redrive.sql).
SELECT pg_try_advisory_xact_lock(29300, hashtext(current_schema() || $1::text));

-- name: waiting
-- Which chunks of a run up to an offset wait? Of each series the oldest ones, in topic order.
SELECT ctid, key, model_id, dataset_name, dataset_digest, first_offset, cardinality(vals) AS points
FROM metric_chunks WHERE run_id = $1 AND first_offset <= $2 ORDER BY key, first_offset LIMIT $3;

-- name: last_merged
-- Which are the last merged chunks of these series? Latest first; more than so many are never merged once more.
SELECT m.ctid, key, model_id, dataset_name, dataset_digest, m.first_offset, m.points
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS s (key, model_id, dataset_name, dataset_digest)
CROSS JOIN LATERAL (
    SELECT c.ctid, c.first_offset, c.points FROM merged_chunks c
    WHERE c.run_id = $1 AND c.key = s.key AND c.model_id = s.model_id AND c.dataset_name = s.dataset_name
      AND c.dataset_digest = s.dataset_digest
    ORDER BY c.first_offset DESC LIMIT 16) m
ORDER BY m.first_offset DESC;

-- name: take_waiting
-- These chunks, which are gone afterwards.
WITH gone AS (DELETE FROM metric_chunks WHERE ctid = ANY($1::tid[]) RETURNING *)
SELECT run_id, key, model_id, dataset_name, dataset_digest, first_offset, first_offset AS last_offset,
       array_send(steps) AS sent_steps, array_send(times) AS sent_times, array_send(vals) AS sent_vals
FROM gone;

-- name: take_merged
-- The same of merged chunks.
WITH gone AS (DELETE FROM merged_chunks WHERE ctid = ANY($1::tid[]) RETURNING *)
SELECT run_id, key, model_id, dataset_name, dataset_digest, first_offset, last_offset,
       first_step, step_stride, coalesce(array_send(narrow_steps), array_send(wide_steps)) AS sent_steps,
       first_time, time_stride, coalesce(array_send(narrow_times), array_send(wide_times)) AS sent_times,
       array_send(vals) AS sent_vals
FROM gone;
