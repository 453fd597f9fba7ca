-- name: extent
-- How many points has a metric of a run, and where does the last chunk of them begin?
SELECT coalesce(sum(points), 0)::bigint AS points, max(last_offset) AS last_offset
FROM {schema}.stored_chunks WHERE run_id = $1::text AND key = $2::text

-- name: chunks
-- The points of one metric of these runs over all models and datasets, by run.
SELECT run_id, first_step, step_stride, sent_steps, first_time, time_stride, sent_times, sent_vals
FROM {schema}.stored_chunks WHERE run_id = ANY($1::text[]) AND key = $2::text
ORDER BY run_id, first_offset
