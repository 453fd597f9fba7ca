-- What MLflow's search for runs has in addition to the native one, or otherwise.

-- name: metric_compared
-- Does the latest value of this metric compare so? As in the native search, but an infinity is the largest number,
-- as MLflow's stores keep it; that matters for comparisons with that number and beyond, which take no index.
((r.status NOT IN ('RUNNING', 'SCHEDULED') AND r.run_id IN (
     SELECT m.run_id FROM {schema}.ranked_metrics m
     WHERE m.key = {key}::text AND ({nan} OR m.value <> 'NaN')
       AND ((abs({value}) < 1.7976931348623157e308 AND m.value {operator} {value})
            OR (abs({value}) >= 1.7976931348623157e308 AND {stored} {operator} {value}))))
 OR (r.status IN ('RUNNING', 'SCHEDULED') AND EXISTS (
     SELECT FROM (
         SELECT m.value FROM {schema}.latest_metrics m
         WHERE m.run_id = r.run_id AND m.key = {key}::text
         ORDER BY m.step DESC, m.time DESC, m.value = 'NaN', m.value DESC LIMIT 1) m
     WHERE {stored} {operator} {value} AND ({nan} OR m.value <> 'NaN'))))

-- name: stored
-- A metric's value as MLflow's stores keep it.
(CASE m.value WHEN 'Infinity' THEN 1.7976931348623157e308 WHEN '-Infinity' THEN -1.7976931348623157e308 ELSE m.value END)

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
CASE WHEN EXISTS (SELECT FROM {schema}.experiments e
                  WHERE e.experiment_id = r.experiment_id AND e.lifecycle_stage = 'deleted')
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
