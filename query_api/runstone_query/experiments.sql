-- name: by_id
-- One experiment.
SELECT experiment_id, name, lifecycle_stage, creation_time, last_update_time
FROM {schema}.experiments WHERE experiment_id = $1::bigint

-- name: page
-- Experiments by name: all, or of one name or stage, after one that was seen already.
SELECT experiment_id, name, lifecycle_stage, creation_time, last_update_time
FROM {schema}.experiments
WHERE ($1::text IS NULL OR name = $1::text)
  AND ($2::text IS NULL OR lifecycle_stage = $2::text)
  AND ($3::text IS NULL OR name > $3::text)
ORDER BY name LIMIT $4::bigint

-- name: tags
-- The tags of these experiments.
SELECT experiment_id, key, value FROM {schema}.experiment_tags
WHERE experiment_id = ANY($1::bigint[]) ORDER BY experiment_id, key

-- name: ids_of
-- Which of these names have an experiment, and which?
SELECT name, experiment_id FROM {schema}.experiments WHERE name = ANY($1::text[])

-- name: taken
-- Which of these ids have an experiment, under whatever name?
SELECT experiment_id FROM {schema}.experiments WHERE experiment_id = ANY($1::bigint[])
