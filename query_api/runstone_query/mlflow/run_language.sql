-- What MLflow's search for runs has in addition to the native one, or otherwise.

-- name: attribute_user_id
-- Who ran it: as MLflow's client said, else MLflow's word where nobody knows.
CASE WHEN r.context ->> 'client' = 'mlflow' THEN coalesce(r.user_name, '')
     ELSE coalesce(nullif(r.user_name, ''), 'unknown') END

-- name: attribute_artifact_uri
-- Where the run's artifacts lie, as MLflow's client is told.
(SELECT coalesce(max(nullif(rtrim(e.artifact_location, '/'), '')), 'mlflow-artifacts:/' || r.experiment_id)
        || '/' || r.run_id || '/artifacts'
 FROM {schema}.experiments e WHERE e.experiment_id = r.experiment_id)

-- name: stage
-- Is the run active, or deleted? One of a deleted experiment is as good as deleted.
CASE WHEN r.experiment_id IN (SELECT e.experiment_id FROM {schema}.experiments e WHERE e.lifecycle_stage = 'deleted')
     THEN 'deleted' ELSE r.lifecycle_stage END

-- name: in_lifecycle_stage
-- Is the run active, or deleted, by itself or with its experiment?
(r.lifecycle_stage = 'deleted' OR r.experiment_id IN (
     SELECT e.experiment_id FROM {schema}.experiments e WHERE e.lifecycle_stage = 'deleted'))
 = ({value}::text = 'deleted')

-- name: derived_parent_run_id
-- The run that this one is a child of.
CASE WHEN r.context ->> 'client' IS DISTINCT FROM 'mlflow' THEN nullif(r.parent_run_id, '') END

-- name: derived_run_name
-- What the run is called.
CASE WHEN r.context ->> 'client' IS DISTINCT FROM 'mlflow' THEN nullif(r.name, '') END

-- name: derived_source_git_commit
-- The commit that the program was at.
CASE WHEN r.context ->> 'client' IS DISTINCT FROM 'mlflow' THEN nullif(r.context ->> 'git_commit', '') END

-- name: derived_source_name
-- The program that ran.
CASE WHEN r.context ->> 'client' IS DISTINCT FROM 'mlflow' THEN nullif(r.context ->> 'source', '') END

-- name: derived_source_type
-- MLflow's word for a program on somebody's machine.
CASE WHEN r.context ->> 'client' IS DISTINCT FROM 'mlflow' AND nullif(r.context ->> 'source', '') IS NOT NULL THEN 'LOCAL' END

-- name: derived_user
-- Who ran it.
CASE WHEN r.context ->> 'client' IS DISTINCT FROM 'mlflow' THEN nullif(nullif(r.user_name, ''), 'unknown') END

-- name: tag_derived_compared
-- Does the run's tag, or what is derived for it where it has none, compare so?
(r.run_id IN (SELECT t.run_id FROM {schema}.tags t WHERE t.key = {key}::text AND t.value {operator} {value})
 OR ({derived} {operator} {value}
     AND NOT EXISTS (SELECT FROM {schema}.tags t WHERE t.run_id = r.run_id AND t.key = {key}::text)))

-- name: tag_derived_present
-- Does the run have this tag, or something that it is derived from?
({derived} IS NOT NULL
 OR EXISTS (SELECT FROM {schema}.tags t WHERE t.run_id = r.run_id AND t.key = {key}::text))

-- name: tag_derived_value
-- What a joined tag sorts by: its value, or what is derived for it.
coalesce({alias}.value, {derived})
