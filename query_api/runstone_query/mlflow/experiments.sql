-- Experiments as MLflow's clients are told of them.

-- name: experiments
-- What is known of these experiments?
SELECT e.experiment_id, e.name, e.artifact_location, e.lifecycle_stage, e.creation_time, e.last_update_time
FROM {schema}.experiments e WHERE e.experiment_id = ANY($1::bigint[])

-- name: tags
-- The tags of these experiments.
SELECT experiment_id, key, value FROM {schema}.experiment_tags
WHERE experiment_id = ANY($1::bigint[]) ORDER BY experiment_id, key

-- name: id_of
-- Which experiment has this name?
SELECT experiment_id FROM {schema}.experiments WHERE name = $1::text
