-- What the one write transaction consists of, in its order. Small tables are written from one JSON text each,
-- sorted by key, so that two workers lock rows in the same order.

-- name: advance
-- Are the partitions still ours and where we left them? Then move them on; fewer rows than asked for: no.
UPDATE ingest_partitions p
SET next_offset = moved.next_offset, last_hash = moved.last_hash, records = p.records + moved.records,
    duplicates = p.duplicates + moved.duplicates, dead = p.dead + moved.dead, updated_at = now()
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bigint[],
            $8::bigint[], $9::bigint[])
    AS moved (topic, partition, epoch, expected, next_offset, last_hash, records, duplicates, dead)
WHERE p.topic = moved.topic AND p.partition = moved.partition
  AND p.epoch = moved.epoch AND p.next_offset = moved.expected
RETURNING p.topic, p.partition;

-- name: still_ours
-- Which of these partitions are ours? None of them can be taken from us until this transaction ends.
SELECT p.topic, p.partition FROM ingest_partitions p
JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS held (topic, partition, epoch)
  ON p.topic = held.topic AND p.partition = held.partition AND p.epoch = held.epoch
FOR SHARE OF p;

-- name: latest_metrics
-- Is a series' new greatest point greater than the one it had? NaN is lowest, -0.0 lower than 0.0.
INSERT INTO latest_metrics AS old
    (run_id, key, model_id, dataset_name, dataset_digest, step, time, value, points)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::float8[], $9::bigint[])
ON CONFLICT (run_id, key, model_id, dataset_name, dataset_digest) DO UPDATE
SET (step, time, value) = (
        SELECT CASE WHEN newer THEN excluded.step ELSE old.step END,
               CASE WHEN newer THEN excluded.time ELSE old.time END,
               CASE WHEN newer THEN excluded.value ELSE old.value END
        FROM (SELECT CASE
                  WHEN excluded.step <> old.step THEN excluded.step > old.step
                  WHEN excluded.time <> old.time THEN excluded.time > old.time
                  WHEN excluded.value = 'NaN' THEN false
                  WHEN old.value = 'NaN' THEN true
                  WHEN excluded.value <> old.value THEN excluded.value > old.value
                  ELSE old.value::text = '-0' AND excluded.value::text = '0' END AS newer) AS compared),
    points = old.points + excluded.points;

-- name: runs
-- Whole rows of runs.
INSERT INTO runs (run_id, topic_partition, last_offset, experiment_id, experiment_name, name, status,
    status_reason, lifecycle_stage, start_time, end_time, user_name, parent_run_id, context, attempt,
    owner_session, ended_by)
SELECT run_id, topic_partition, last_offset, experiment_id, experiment_name, name, status,
    status_reason, lifecycle_stage, start_time, end_time, user_name, parent_run_id, context, attempt,
    owner_session, ended_by
FROM json_populate_recordset(null::runs, $1::json)
ON CONFLICT (run_id) DO UPDATE
SET last_offset = excluded.last_offset, experiment_id = excluded.experiment_id,
    experiment_name = excluded.experiment_name, name = excluded.name, status = excluded.status,
    status_reason = excluded.status_reason, lifecycle_stage = excluded.lifecycle_stage,
    start_time = excluded.start_time, end_time = excluded.end_time, user_name = excluded.user_name,
    parent_run_id = excluded.parent_run_id, context = excluded.context, attempt = excluded.attempt,
    owner_session = excluded.owner_session, ended_by = excluded.ended_by;

-- name: touch_runs
-- Runs of which nothing but the last offset changed.
UPDATE runs r SET last_offset = touched.last_offset
FROM unnest($1::text[], $2::bigint[]) AS touched (run_id, last_offset)
WHERE r.run_id = touched.run_id;

-- name: marks
-- Whole rows of marks.
INSERT INTO marks (stream, session, high_seq, missing, declared, ended, end_reason, clean, last_time)
SELECT stream, session, high_seq, missing, declared, ended, end_reason, clean, last_time
FROM json_populate_recordset(null::marks, $1::json)
ON CONFLICT (stream, session) DO UPDATE
SET high_seq = excluded.high_seq, missing = excluded.missing, declared = excluded.declared,
    ended = excluded.ended, end_reason = excluded.end_reason, clean = excluded.clean,
    last_time = excluded.last_time;

-- name: params
-- The first value of each param; which of them were the first ever?
INSERT INTO params (run_id, key, value, time)
SELECT run_id, key, value, time FROM json_populate_recordset(null::params, $1::json)
ON CONFLICT (run_id, key) DO NOTHING
RETURNING run_id, key;

-- name: param_conflicts
-- Values that contradict the one that was first.
INSERT INTO param_conflicts (run_id, key, value, session, time)
SELECT said.run_id, said.key, said.value, said.session, said.time
FROM json_populate_recordset(null::param_conflicts, $1::json) AS said
JOIN params p ON p.run_id = said.run_id AND p.key = said.key AND p.value <> said.value
ON CONFLICT (run_id, key, md5(value)) DO NOTHING;

-- name: tags
-- The last value of each tag.
INSERT INTO tags (run_id, key, value, time)
SELECT run_id, key, value, time FROM json_populate_recordset(null::tags, $1::json)
ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value, time = excluded.time;

-- name: delete_tags
-- Tags that were deleted last.
DELETE FROM tags t USING unnest($1::text[], $2::text[]) AS gone (run_id, key)
WHERE t.run_id = gone.run_id AND t.key = gone.key;

-- name: delete_artifacts
-- Pointers of these paths and of whatever lies below them; the empty path is the run's whole tree.
DELETE FROM artifacts a USING unnest($1::text[], $2::text[]) AS gone (run_id, path)
WHERE a.run_id = gone.run_id
  AND (gone.path = '' OR a.path = gone.path OR starts_with(a.path, gone.path || '/'));

-- name: artifacts
-- The last pointer of each path.
INSERT INTO artifacts (run_id, path, uri, size, sha256, media_type, time)
SELECT run_id, path, uri, size, sha256, media_type, time
FROM json_populate_recordset(null::artifacts, $1::json)
ON CONFLICT (run_id, path) DO UPDATE
SET uri = excluded.uri, size = excluded.size, sha256 = excluded.sha256, media_type = excluded.media_type,
    time = excluded.time;

-- name: dataset_inputs
-- The last word on each dataset of a run.
INSERT INTO dataset_inputs (run_id, name, digest, source_type, source, schema, profile, tags, time, stored)
SELECT run_id, name, digest, source_type, source, schema, profile, tags, time, stored
FROM json_populate_recordset(null::dataset_inputs, $1::json)
ON CONFLICT (run_id, name, digest) DO UPDATE
SET source_type = excluded.source_type, source = excluded.source, schema = excluded.schema,
    profile = excluded.profile, tags = excluded.tags, time = excluded.time, stored = excluded.stored;

-- name: model_inputs
-- Models that runs read.
INSERT INTO model_inputs (run_id, model_id, time)
SELECT run_id, model_id, time FROM json_populate_recordset(null::model_inputs, $1::json)
ON CONFLICT (run_id, model_id) DO NOTHING;

-- name: model_outputs
-- Models that runs wrote.
INSERT INTO model_outputs (run_id, model_id, step, time)
SELECT run_id, model_id, step, time FROM json_populate_recordset(null::model_outputs, $1::json)
ON CONFLICT (run_id, model_id, step) DO NOTHING;

-- name: logged_models
-- Whole rows of logged models.
INSERT INTO logged_models (model_id, stream, experiment_id, name, model_type, source_run_id, status,
    lifecycle_stage, params, tags, creation_time, last_update_time)
SELECT model_id, stream, experiment_id, name, model_type, source_run_id, status,
    lifecycle_stage, params, tags, creation_time, last_update_time
FROM json_populate_recordset(null::logged_models, $1::json)
ON CONFLICT (stream, model_id) DO UPDATE
SET experiment_id = excluded.experiment_id, name = excluded.name, model_type = excluded.model_type,
    source_run_id = excluded.source_run_id, status = excluded.status,
    lifecycle_stage = excluded.lifecycle_stage, params = excluded.params, tags = excluded.tags,
    creation_time = excluded.creation_time, last_update_time = excluded.last_update_time;

-- name: model_artifacts
-- The last pointer of each path of a logged model.
INSERT INTO model_artifacts (stream, model_id, path, uri, size, sha256, media_type, time)
SELECT stream, model_id, path, uri, size, sha256, media_type, time
FROM json_populate_recordset(null::model_artifacts, $1::json)
ON CONFLICT (stream, model_id, path) DO UPDATE
SET uri = excluded.uri, size = excluded.size, sha256 = excluded.sha256, media_type = excluded.media_type,
    time = excluded.time;

-- name: installation
-- The installation; the first one counts.
INSERT INTO installation (installation_id, partitions, creation_time) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING;

-- name: experiments
-- Whole rows of experiments.
INSERT INTO experiments (experiment_id, name, created_as, creation_time, last_update_time, lifecycle_stage,
    artifact_location)
SELECT experiment_id, name, created_as, creation_time, last_update_time, lifecycle_stage, artifact_location
FROM json_populate_recordset(null::experiments, $1::json)
ON CONFLICT (experiment_id) DO UPDATE
SET name = excluded.name, creation_time = excluded.creation_time,
    last_update_time = excluded.last_update_time, lifecycle_stage = excluded.lifecycle_stage;

-- name: experiment_tags
-- The last value of each tag of an experiment.
INSERT INTO experiment_tags (experiment_id, key, value)
SELECT experiment_id, key, value FROM json_populate_recordset(null::experiment_tags, $1::json)
ON CONFLICT (experiment_id, key) DO UPDATE SET value = excluded.value;

-- name: delete_experiment_tags
-- Tags of experiments that were deleted last.
DELETE FROM experiment_tags t USING unnest($1::bigint[], $2::text[]) AS gone (experiment_id, key)
WHERE t.experiment_id = gone.experiment_id AND t.key = gone.key;

-- name: delete_registered_model
-- A registered model that was deleted, and by cascade whatever hangs on it.
DELETE FROM registered_models WHERE name = $1;

-- name: rename_registered_model
-- A new name; by cascade it moves whatever hangs on the model.
UPDATE registered_models SET name = $2 WHERE name = $1;

-- name: touch_model_versions
-- A rename counts as an update of every version. After it and not with it: Postgres would look for the old name
-- of a version that this transaction has moved before.
UPDATE model_versions SET last_update_time = $2 WHERE name = $1;

-- name: registered_models
-- Whole rows of registered models.
INSERT INTO registered_models (name, description, creation_time, last_update_time, last_version)
SELECT name, description, creation_time, last_update_time, last_version
FROM json_populate_recordset(null::registered_models, $1::json)
ON CONFLICT (name) DO UPDATE
SET description = excluded.description, last_update_time = excluded.last_update_time,
    last_version = excluded.last_version;

-- name: registered_model_tags
-- The last value of each tag of a registered model.
INSERT INTO registered_model_tags (name, key, value)
SELECT name, key, value FROM json_populate_recordset(null::registered_model_tags, $1::json)
ON CONFLICT (name, key) DO UPDATE SET value = excluded.value;

-- name: delete_registered_model_tags
-- Tags of registered models that were deleted last.
DELETE FROM registered_model_tags t USING unnest($1::text[], $2::text[]) AS gone (name, key)
WHERE t.name = gone.name AND t.key = gone.key;

-- name: model_versions
-- Whole rows of model versions.
INSERT INTO model_versions (name, version, source, run_id, run_link, description, model_id, user_name,
    current_stage, creation_time, last_update_time, lifecycle_stage, storage_location)
SELECT name, version, source, run_id, run_link, description, model_id, user_name,
    current_stage, creation_time, last_update_time, lifecycle_stage, storage_location
FROM json_populate_recordset(null::model_versions, $1::json)
ON CONFLICT (name, version) DO UPDATE
SET source = excluded.source, run_id = excluded.run_id, run_link = excluded.run_link,
    description = excluded.description, model_id = excluded.model_id, user_name = excluded.user_name,
    current_stage = excluded.current_stage, last_update_time = excluded.last_update_time,
    lifecycle_stage = excluded.lifecycle_stage, storage_location = excluded.storage_location;

-- name: model_version_tags
-- The last value of each tag of a model version.
INSERT INTO model_version_tags (name, version, key, value)
SELECT name, version, key, value FROM json_populate_recordset(null::model_version_tags, $1::json)
ON CONFLICT (name, version, key) DO UPDATE SET value = excluded.value;

-- name: delete_model_version_tags
-- Tags of model versions that were deleted last.
DELETE FROM model_version_tags t
USING unnest($1::text[], $2::bigint[], $3::text[]) AS gone (name, version, key)
WHERE t.name = gone.name AND t.version = gone.version AND t.key = gone.key;

-- name: registered_model_aliases
-- Where each alias points to since it was last set.
INSERT INTO registered_model_aliases (name, alias, version)
SELECT name, alias, version FROM json_populate_recordset(null::registered_model_aliases, $1::json)
ON CONFLICT (name, alias) DO UPDATE SET version = excluded.version;

-- name: delete_registered_model_aliases
-- Aliases that were deleted last.
DELETE FROM registered_model_aliases a USING unnest($1::text[], $2::text[]) AS gone (name, alias)
WHERE a.name = gone.name AND a.alias = gone.alias;

-- name: delete_aliases_of_versions
-- Aliases that still point to versions that were deleted.
DELETE FROM registered_model_aliases a USING unnest($1::text[], $2::bigint[]) AS gone (name, version)
WHERE a.name = gone.name AND a.version = gone.version;

-- name: verdicts
-- What was said to requests; the first word counts.
INSERT INTO verdicts (request, "offset", accepted, code, answer)
SELECT request, "offset", accepted, code, answer FROM json_populate_recordset(null::verdicts, $1::json)
ON CONFLICT (request) DO NOTHING;

-- name: prune_verdicts
-- Verdicts that nobody waits for any more: by the catalog's offsets and no clock, so that a replay ends alike.
DELETE FROM verdicts WHERE "offset" <= $1;

-- name: tell_applied
-- To whoever waits until the read model has reached an offset: look again.
SELECT pg_notify('runstone_applied', $1);

-- name: dead_letter
-- A record that could not be applied, and why.
INSERT INTO dead_letters (topic, partition, "offset", reason, stream, session, first_seq, n, key, value, headers)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: rank_metrics
-- The latest value of each metric of these runs, where it can be searched and sorted by.
INSERT INTO ranked_metrics AS old (run_id, key, value)
SELECT DISTINCT ON (run_id, key) run_id, key, value
FROM latest_metrics WHERE run_id = ANY ($1::text[])
ORDER BY run_id, key, step DESC, time DESC, value = 'NaN', value DESC
ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value
WHERE old.value IS DISTINCT FROM excluded.value;
