-- The stable names that people read with psql, Grafana or a BI tool: views in schema "runstone".
--
-- Run with search_path set to one generation: the tables below are then that generation's, and running this
-- again with another one re-points every view in the same transaction. Columns are only ever added, at the
-- end of a view; nothing here is renamed or removed. Times: "…_time" and "time" are integer milliseconds
-- UTC by the writing client's clock, "…_at" and "at" the same as timestamptz.

CREATE OR REPLACE VIEW runstone.experiments AS
SELECT experiment_id, name, lifecycle_stage, creation_time, last_update_time,
       to_timestamp(creation_time / 1000.0) AS created_at, artifact_location
FROM experiments;
COMMENT ON VIEW runstone.experiments IS 'Experiments, deleted ones included (lifecycle_stage).';

CREATE OR REPLACE VIEW runstone.experiment_tags AS
SELECT experiment_id, key, value FROM experiment_tags;
COMMENT ON VIEW runstone.experiment_tags IS 'Tags of experiments.';

CREATE OR REPLACE VIEW runstone.runs AS
SELECT r.run_id, r.experiment_id, coalesce(e.name, r.experiment_name) AS experiment_name, r.name, r.status,
       r.status_reason, r.lifecycle_stage, r.start_time, r.end_time, r.user_name, r.parent_run_id, r.context,
       r.attempt, to_timestamp(r.start_time / 1000.0) AS started_at,
       to_timestamp(r.end_time / 1000.0) AS ended_at, e.lifecycle_stage AS experiment_lifecycle_stage
FROM runs r LEFT JOIN experiments e USING (experiment_id);
COMMENT ON VIEW runstone.runs IS 'Runs, deleted ones included (lifecycle_stage). The experiment''s name is today''s, or the one the client knew where the experiment is unknown.';
COMMENT ON COLUMN runstone.runs.status IS 'SCHEDULED, RUNNING, FINISHED, FAILED or KILLED; by the explicit end of the latest attempt, else by what happened to the session that owns it.';
COMMENT ON COLUMN runstone.runs.context IS 'host, rank, source, git_commit, git_dirty, command, python, packages, …';

CREATE OR REPLACE VIEW runstone.params AS
SELECT run_id, key, value, time FROM params;
COMMENT ON VIEW runstone.params IS 'Params: the first value of each key in the ledger''s order.';

CREATE OR REPLACE VIEW runstone.param_conflicts AS
SELECT run_id, key, value, session, time FROM param_conflicts;
COMMENT ON VIEW runstone.param_conflicts IS 'Values that contradict a param''s first one: kept, never applied.';

CREATE OR REPLACE VIEW runstone.tags AS
SELECT run_id, key, value, time FROM tags;
COMMENT ON VIEW runstone.tags IS 'Tags: the last value of each key in the ledger''s order.';

CREATE OR REPLACE VIEW runstone.latest_metrics AS
SELECT DISTINCT ON (run_id, key) run_id, key, step, time, value,
       (sum(points) OVER (PARTITION BY run_id, key))::bigint AS points, to_timestamp(time / 1000.0) AS at
FROM latest_metrics
ORDER BY run_id, key, step DESC, time DESC, value = 'NaN', value DESC;
COMMENT ON VIEW runstone.latest_metrics IS 'The latest value of each metric of a run, over all models and datasets: the greatest by (step, time, value), NaN lowest.';
COMMENT ON COLUMN runstone.latest_metrics.points IS 'How many points the metric has in all.';

CREATE OR REPLACE VIEW runstone.metric_points AS
SELECT run_id, key, step, time, value, model_id, dataset_name, dataset_digest,
       to_timestamp(time / 1000.0) AS at, first_offset, place
FROM metric_points;
COMMENT ON VIEW runstone.metric_points IS 'Every metric point as a row. A multiset: equal points are different points. Order by step, time, model_id, dataset_name, dataset_digest, first_offset, place. Filter by run_id and key: the chunks are found by them.';
COMMENT ON COLUMN runstone.metric_points.model_id IS 'The logged model it was measured for; the empty text for none, as with datasets.';

CREATE OR REPLACE VIEW runstone.artifacts AS
SELECT run_id, path, uri, size, sha256, media_type, time FROM artifacts;
COMMENT ON VIEW runstone.artifacts IS 'Where each artifact of a run lies: the last pointer of each path. size: bytes.';

CREATE OR REPLACE VIEW runstone.dataset_inputs AS
SELECT run_id, name, digest, source_type, source, schema, profile, tags, time, stored
FROM dataset_inputs;
COMMENT ON VIEW runstone.dataset_inputs IS 'Datasets that runs read.';

CREATE OR REPLACE VIEW runstone.model_inputs AS
SELECT run_id, model_id, time FROM model_inputs;
COMMENT ON VIEW runstone.model_inputs IS 'Logged models that runs read.';

CREATE OR REPLACE VIEW runstone.model_outputs AS
SELECT run_id, model_id, step, time FROM model_outputs;
COMMENT ON VIEW runstone.model_outputs IS 'Logged models that runs wrote, and at which step.';

CREATE OR REPLACE VIEW runstone.logged_models AS
SELECT model_id, experiment_id, name, model_type, source_run_id, status, lifecycle_stage, params, tags,
       creation_time, last_update_time
FROM logged_models;
COMMENT ON VIEW runstone.logged_models IS 'Logged models, deleted ones included (lifecycle_stage).';

CREATE OR REPLACE VIEW runstone.model_artifacts AS
SELECT model_id, path, uri, size, sha256, media_type, time FROM model_artifacts;
COMMENT ON VIEW runstone.model_artifacts IS 'Where each file of a logged model lies: the last pointer of each path. size: bytes.';

CREATE OR REPLACE VIEW runstone.registered_models AS
SELECT name, description, creation_time, last_update_time, last_version,
       to_timestamp(creation_time / 1000.0) AS created_at
FROM registered_models;
COMMENT ON VIEW runstone.registered_models IS 'The names in the model registry. last_version: the greatest number given out, whether that version is deleted or not.';

CREATE OR REPLACE VIEW runstone.registered_model_tags AS
SELECT name, key, value FROM registered_model_tags;
COMMENT ON VIEW runstone.registered_model_tags IS 'Tags of registered models.';

CREATE OR REPLACE VIEW runstone.registered_model_aliases AS
SELECT name, alias, version FROM registered_model_aliases;
COMMENT ON VIEW runstone.registered_model_aliases IS 'Which version each alias of a registered model points to.';

CREATE OR REPLACE VIEW runstone.model_versions AS
SELECT name, version, source, run_id, run_link, description, model_id, user_name, current_stage, status,
       creation_time, last_update_time, to_timestamp(creation_time / 1000.0) AS created_at, storage_location
FROM model_versions WHERE lifecycle_stage = 'active';
COMMENT ON VIEW runstone.model_versions IS 'Versions of registered models, without the deleted ones.';

CREATE OR REPLACE VIEW runstone.model_version_tags AS
SELECT t.name, t.version, t.key, t.value
FROM model_version_tags t JOIN model_versions v ON v.name = t.name AND v.version = t.version
WHERE v.lifecycle_stage = 'active';
COMMENT ON VIEW runstone.model_version_tags IS 'Tags of model versions, without those of deleted ones.';

CREATE OR REPLACE VIEW runstone.sessions AS
SELECT stream AS run_id, session, high_seq, missing, declared, ended, end_reason, clean, last_time
FROM marks WHERE stream <> 'catalog';
COMMENT ON VIEW runstone.sessions IS 'How complete each run is, per writing process: records 0 … high_seq but for the missing ones have been applied; declared ranges say why some never will be.';

CREATE OR REPLACE VIEW runstone.dead_letters AS
SELECT topic, partition, "offset", reason, stream, session, first_seq, n, key, value, headers, at
FROM dead_letters;
COMMENT ON VIEW runstone.dead_letters IS 'Records that could not be applied, byte for byte, and why.';

CREATE OR REPLACE VIEW runstone.ingest AS
SELECT p.topic, p.partition, p.next_offset, p.records, p.duplicates, p.dead, p.owner, p.updated_at, h.reason AS halted
FROM ingest_partitions p LEFT JOIN halts h ON h.topic = p.topic AND h.partition = p.partition;
COMMENT ON VIEW runstone.ingest IS 'How far each topic partition has been applied: every offset below next_offset; halted: why nothing more is.';
