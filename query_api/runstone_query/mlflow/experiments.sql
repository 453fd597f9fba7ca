-- Experiments as MLflow's clients are told of them; tags are the text of a JSON array, null where there are none.

-- name: experiments
-- What is known of these experiments?
SELECT e.experiment_id, e.name, e.artifact_location, e.lifecycle_stage, e.creation_time, e.last_update_time, {tags} AS tags
FROM {schema}.experiments e WHERE e.experiment_id = ANY($1::bigint[])

-- name: named
-- What is known of the experiment of this name?
SELECT e.experiment_id, e.name, e.artifact_location, e.lifecycle_stage, e.creation_time, e.last_update_time, {tags} AS tags
FROM {schema}.experiments e WHERE e.name = $1::text

-- name: tags
-- The tags of an experiment.
(SELECT json_agg(json_build_object('key', t.key, 'value', t.value) ORDER BY t.key)
 FROM {schema}.experiment_tags t WHERE t.experiment_id = e.experiment_id)
