-- name: summaries
-- Which datasets did the runs of these experiments read, and for what? At most so many.
SELECT DISTINCT r.experiment_id, d.name, d.digest, d.tags ->> 'mlflow.data.context' AS context
FROM {schema}.dataset_inputs d JOIN {schema}.runs r USING (run_id)
WHERE r.experiment_id = ANY($1::bigint[])
ORDER BY 1, 2, 3, 4 LIMIT $2::bigint
