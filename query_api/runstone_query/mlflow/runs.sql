-- Everything that MLflow's clients are told of a page of runs, a statement each for the whole page.

-- name: runs
-- What is known of these runs themselves, with the tags that are derived from it? A run whose start has not
-- come has no experiment and is none to MLflow yet.
SELECT r.run_id, r.experiment_id, r.name, coalesce(nullif(r.user_name, ''), 'unknown') AS user_id, r.status,
       r.start_time, r.end_time, r.lifecycle_stage, {artifact_uri} AS artifact_uri, {derived}
FROM {schema}.runs r
WHERE r.run_id = ANY($1::text[]) AND r.experiment_id IS NOT NULL

-- name: metrics
-- The latest point of each metric of these runs, over all models and datasets; NaN counts as the lowest.
SELECT DISTINCT ON (run_id, key) run_id, key, step, time, value
FROM {schema}.latest_metrics WHERE run_id = ANY($1::text[])
ORDER BY run_id, key, step DESC, time DESC, value = 'NaN', value DESC

-- name: params
-- The params of these runs.
SELECT run_id, key, value FROM {schema}.params WHERE run_id = ANY($1::text[]) ORDER BY run_id, key

-- name: tags
-- The tags that these runs were given.
SELECT run_id, key, value FROM {schema}.tags WHERE run_id = ANY($1::text[]) ORDER BY run_id, key

-- name: datasets
-- The datasets that these runs read.
SELECT run_id, name, digest, source_type, source, schema, profile, tags, stored
FROM {schema}.dataset_inputs WHERE run_id = ANY($1::text[]) ORDER BY run_id, time, name, digest

-- name: model_inputs
-- The models that these runs read.
SELECT run_id, model_id FROM {schema}.model_inputs WHERE run_id = ANY($1::text[]) ORDER BY run_id, time, model_id

-- name: model_outputs
-- The models that these runs wrote.
SELECT run_id, model_id, step FROM {schema}.model_outputs WHERE run_id = ANY($1::text[])
ORDER BY run_id, time, model_id, step
