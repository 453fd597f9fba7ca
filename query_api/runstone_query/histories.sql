-- name: chunks
-- The points of one metric, series by series (the one of no model and dataset first), each in topic order.
SELECT first_step, step_stride, sent_steps, first_time, time_stride, sent_times, sent_vals
FROM {schema}.stored_chunks WHERE run_id = $1::text AND key = $2::text
ORDER BY model_id, dataset_name, dataset_digest, first_offset

-- name: metrics
-- Which metrics has a run, with the latest value of each and the number of its points?
SELECT DISTINCT ON (key) key, step, time, value, (sum(points) OVER (PARTITION BY key))::bigint AS points
FROM {schema}.latest_metrics WHERE run_id = $1::text
ORDER BY key, step DESC, time DESC, value = 'NaN', value DESC
