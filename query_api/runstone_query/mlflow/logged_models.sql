-- Logged models, for a page of them: a statement each for the whole page.

-- name: models
-- What is known of these logged models, and where do their experiments keep files? One that has only been
-- heard of, before its model_created came, is not here.
SELECT DISTINCT ON (m.model_id) m.model_id, m.stream, m.experiment_id, m.name, m.model_type, m.source_run_id,
       m.status, m.lifecycle_stage, m.params, m.tags, m.creation_time, m.last_update_time,
       coalesce(e.artifact_location, '') AS artifact_location
FROM {schema}.logged_models m LEFT JOIN {schema}.experiments e USING (experiment_id)
WHERE m.model_id = ANY($1::text[]) AND m.experiment_id IS NOT NULL
ORDER BY m.model_id, m.creation_time, m.stream

-- name: metrics
-- The metrics of these logged models: of each series its newest points, at most so many, without repetition.
SELECT model_id, run_id, key, dataset_name, dataset_digest, step, time, value
FROM (
    SELECT p.*, row_number() OVER (PARTITION BY p.model_id, p.run_id, p.key, p.dataset_name, p.dataset_digest
                                   ORDER BY p.step DESC, p.time DESC) AS place
    FROM (
        SELECT model_id, run_id, key, dataset_name, dataset_digest, step, time, value
        FROM {schema}.latest_metrics WHERE model_id = ANY($1::text[]) AND model_id <> '' AND points = 1
        UNION
        SELECT u.model_id, u.run_id, u.key, u.dataset_name, u.dataset_digest, u.step, u.time, u.value
        FROM {schema}.latest_metrics l
        JOIN {schema}.metric_points u
          ON u.run_id = l.run_id AND u.key = l.key AND u.model_id = l.model_id
         AND u.dataset_name = l.dataset_name AND u.dataset_digest = l.dataset_digest
        WHERE l.model_id = ANY($1::text[]) AND l.model_id <> '' AND l.points > 1) p) placed
WHERE place <= $2::bigint
ORDER BY model_id, key, dataset_name, dataset_digest, run_id, step, time

-- name: registrations
-- Which versions of registered models were made of these logged models?
SELECT model_id, name, version FROM {schema}.model_versions
WHERE model_id = ANY($1::text[]) AND model_id <> '' AND lifecycle_stage = 'active'
ORDER BY model_id, creation_time, name, version
