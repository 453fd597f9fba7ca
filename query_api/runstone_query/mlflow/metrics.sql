-- name: extent
-- How many chunks has a metric of a run, and where does the last one begin?
SELECT count(*)::bigint AS chunks, max(first_offset) AS last_offset
FROM {schema}.metric_chunks WHERE run_id = $1::text AND key = $2::text

-- name: chunks
-- The points of one metric of these runs over all models and datasets, by run, each column as Postgres would
-- send it: numpy reads the binary form of an array twenty times faster than a driver makes numbers of it.
SELECT run_id, array_send(steps) AS steps, array_send(times) AS times, array_send(vals) AS vals
FROM {schema}.metric_chunks WHERE run_id = ANY($1::text[]) AND key = $2::text
ORDER BY run_id, first_offset
