-- name: chunks
-- The points of one metric over all models and datasets, in topic order, each column as Postgres would send
-- it: numpy reads the binary form of an array twenty times faster than a driver makes numbers of it.
SELECT array_send(steps) AS steps, array_send(times) AS times, array_send(vals) AS vals
FROM {schema}.metric_chunks WHERE run_id = $1::text AND key = $2::text
ORDER BY first_offset, model_id, dataset_name, dataset_digest, ctid

-- name: metrics
-- Which metrics has a run, with the latest value of each and the number of its points?
SELECT DISTINCT ON (key) key, step, time, value, (sum(points) OVER (PARTITION BY key))::bigint AS points
FROM {schema}.latest_metrics WHERE run_id = $1::text
ORDER BY key, step DESC, time DESC, value = 'NaN', value DESC
