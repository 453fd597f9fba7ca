-- name: root
-- Where do the artifacts of this run lie, as MLflow's client is told?
SELECT {artifact_uri} AS artifact_uri
FROM {schema}.runs r WHERE r.run_id = $1::text AND r.experiment_id IS NOT NULL
