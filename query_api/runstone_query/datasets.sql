-- Datasets that runs read.

-- name: of_run
-- Everything about the datasets of a run, in the order in which they were logged.
SELECT d.name, d.digest, d.tags ->> 'mlflow.data.context' AS context, d.time, d.source_type, d.source,
       d.schema, d.profile, d.tags, d.stored, r.experiment_id
FROM {schema}.dataset_inputs d JOIN {schema}.runs r USING (run_id)
WHERE d.run_id = $1::text ORDER BY d.time, d.name, d.digest
