-- Experiments as MLflow's clients are told of them, and the pieces that a search for them is put together from.

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

-- name: search
-- Which experiments meet the conditions, in order, with the columns they are ordered by?
SELECT {columns}
FROM {schema}.experiments e
{joins}
WHERE {conditions}
ORDER BY {order}
LIMIT {limit}

-- name: identity
-- What a search answers first.
e.experiment_id

-- name: in_lifecycle_stage
-- Is the experiment active, or deleted?
e.lifecycle_stage = {value}::text

-- name: attribute_name
-- The experiment's name.
e.name

-- name: attribute_experiment_id
-- The experiment's id.
e.experiment_id

-- name: attribute_creation_time
-- When it was created, ms.
e.creation_time

-- name: attribute_last_update_time
-- When it was last changed, ms.
e.last_update_time

-- name: tag_compared
-- Does the experiment have this tag with a value that compares so?
EXISTS (SELECT FROM {schema}.experiment_tags t WHERE t.experiment_id = e.experiment_id AND t.key = {key}::text
        AND t.value {operator} {value})

-- name: tag_present
-- Does the experiment have this tag at all?
EXISTS (SELECT FROM {schema}.experiment_tags t WHERE t.experiment_id = e.experiment_id AND t.key = {key}::text)
