-- What `runstone verify` asks of a read model, all in one snapshot.

-- name: installation
-- Whose read model is it, and what are streams hashed by?
SELECT installation_id, partitions FROM installation;

-- name: partitions
-- Where does ingest stand, and what has it counted?
SELECT topic, partition, next_offset, last_hash, records, duplicates, dead FROM ingest_partitions
ORDER BY topic, partition;

-- name: dead_letters
-- Where do the dead letters lie, and which seqs are in them?
SELECT topic, partition, "offset", stream, session, first_seq, n FROM dead_letters;

-- name: halts
-- Which partitions halt, and why?
SELECT topic, partition, reason FROM halts ORDER BY topic, partition;

-- name: ledger_findings
-- What have the workers found wrong with the topics?
SELECT finding FROM ledger_findings ORDER BY finding;

-- name: marks
-- What has come of each session in each stream?
SELECT stream, session, high_seq, missing, declared, ended FROM marks;

-- name: points
-- How many points are there?
SELECT coalesce(sum(points), 0)::bigint FROM latest_metrics;

-- name: miscounted_series
-- Which series have other points in their chunks than their latest value counts?
SELECT run_id, key, coalesce(c.points, 0) AS in_chunks, coalesce(l.points, 0) AS counted
FROM (SELECT run_id, key, model_id, dataset_name, dataset_digest, sum(cardinality(vals))::bigint AS points
      FROM stored_chunks GROUP BY 1, 2, 3, 4, 5) c
FULL JOIN latest_metrics l USING (run_id, key, model_id, dataset_name, dataset_digest)
WHERE c.points IS DISTINCT FROM l.points
ORDER BY run_id, key LIMIT 20;

-- name: overlapping_chunks
-- Which chunks begin before the one before them ends, or at its last record, so that their points have no order?
SELECT run_id, key, first_offset, ended FROM (
    SELECT run_id, key, first_offset,
           max(last_offset) OVER (PARTITION BY run_id, key, model_id, dataset_name, dataset_digest
                                  ORDER BY first_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ended
    FROM stored_chunks) c
WHERE ended >= first_offset
ORDER BY run_id, key, first_offset LIMIT 20;

-- name: uneven_chunks
-- Which chunks have not as many steps and times as values? (A table's constraint says so, too.)
SELECT run_id, key, first_offset FROM stored_chunks
WHERE points <> cardinality(vals)
   OR points IS DISTINCT FROM coalesce(cardinality(narrow_steps), cardinality(wide_steps))
   OR points IS DISTINCT FROM coalesce(cardinality(narrow_times), cardinality(wide_times))
ORDER BY run_id, key, first_offset LIMIT 20;

-- name: rows_without_a_run
-- Which rows of runs hang on none?
SELECT 'metric_chunks' AS "table", run_id FROM metric_chunks x WHERE NOT EXISTS (SELECT FROM runs r WHERE r.run_id = x.run_id)
UNION SELECT 'merged_chunks', run_id FROM merged_chunks x WHERE NOT EXISTS (SELECT FROM runs r WHERE r.run_id = x.run_id)
UNION SELECT 'latest_metrics', run_id FROM latest_metrics x WHERE NOT EXISTS (SELECT FROM runs r WHERE r.run_id = x.run_id)
UNION SELECT 'params', run_id FROM params x WHERE NOT EXISTS (SELECT FROM runs r WHERE r.run_id = x.run_id)
UNION SELECT 'tags', run_id FROM tags x WHERE NOT EXISTS (SELECT FROM runs r WHERE r.run_id = x.run_id)
UNION SELECT 'artifacts', run_id FROM artifacts x WHERE NOT EXISTS (SELECT FROM runs r WHERE r.run_id = x.run_id)
ORDER BY 1, 2 LIMIT 20;

-- name: misranked_metrics
-- Which metrics of runs that are over cannot be found by their latest value?
SELECT l.run_id, l.key FROM (
    SELECT DISTINCT ON (run_id, key) run_id, key, value FROM latest_metrics
    ORDER BY run_id, key, step DESC, time DESC, value = 'NaN', value DESC) l
JOIN runs r ON r.run_id = l.run_id AND r.status NOT IN ('RUNNING', 'SCHEDULED')
LEFT JOIN ranked_metrics m ON m.run_id = l.run_id AND m.key = l.key
WHERE m.value IS DISTINCT FROM l.value
ORDER BY 1, 2 LIMIT 20;

-- name: some_streams
-- Streams in an order that $1 decides, $2 of them, each with its points.
SELECT s.stream, coalesce(sum(l.points), 0)::bigint AS points
FROM (SELECT stream FROM marks WHERE stream <> 'catalog' GROUP BY stream
      ORDER BY md5(stream || $1) LIMIT $2) s
LEFT JOIN latest_metrics l ON l.run_id = s.stream
GROUP BY s.stream ORDER BY md5(s.stream || $1);

-- name: these_streams
-- The same of streams that are named, as far as they are there.
SELECT s.stream, coalesce(sum(l.points), 0)::bigint AS points
FROM (SELECT DISTINCT stream FROM marks WHERE stream = ANY ($1::text[])) s
LEFT JOIN latest_metrics l ON l.run_id = s.stream
GROUP BY s.stream ORDER BY s.stream;
