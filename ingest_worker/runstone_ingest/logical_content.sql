-- The logical content of a read model, in the form of the plain model: whatever the topics say, and nothing of
-- how it came (chunks, epochs, times of arrival). A row is its key's columns first, then what it says.

-- name: runs
-- What are these runs?
SELECT run_id, experiment_id, experiment_name, name, status, status_reason, lifecycle_stage, start_time, end_time,
       user_name, parent_run_id, context, attempt, owner_session, ended_by, topic_partition, last_offset
FROM runs WHERE run_id = ANY ($1::text[]);

-- name: params
-- Their params.
SELECT run_id, key, value, time FROM params WHERE run_id = ANY ($1::text[]);

-- name: param_conflicts
-- Values of params that contradict the first.
SELECT run_id, key, value, session, time FROM param_conflicts WHERE run_id = ANY ($1::text[]);

-- name: tags
-- Their tags.
SELECT run_id, key, value, time FROM tags WHERE run_id = ANY ($1::text[]);

-- name: metric_points
-- Their points: chunks in topic order.
SELECT run_id, key, model_id, dataset_name, dataset_digest, first_step, step_stride, sent_steps, first_time,
       time_stride, sent_times, sent_vals
FROM stored_chunks
WHERE run_id = ANY ($1::text[])
ORDER BY run_id, key, model_id, dataset_name, dataset_digest, first_offset;

-- name: latest_metrics
-- The latest point of each of their series.
SELECT run_id, key, model_id, dataset_name, dataset_digest, step, time, value, points FROM latest_metrics
WHERE run_id = ANY ($1::text[]);

-- name: ranked_metrics
-- The ranking of those that are over; that of running ones is behind by some seconds.
SELECT m.run_id, m.key, m.value FROM ranked_metrics m JOIN runs r ON r.run_id = m.run_id
WHERE m.run_id = ANY ($1::text[]) AND r.status NOT IN ('RUNNING', 'SCHEDULED');

-- name: artifacts
-- Pointers to their artifacts.
SELECT run_id, path, uri, size, sha256, media_type, time FROM artifacts WHERE run_id = ANY ($1::text[]);

-- name: dataset_inputs
-- Datasets that they read.
SELECT run_id, name, digest, time, source_type, source, schema, profile, tags, stored FROM dataset_inputs
WHERE run_id = ANY ($1::text[]);

-- name: model_inputs
-- Models that they read.
SELECT run_id, model_id, time FROM model_inputs WHERE run_id = ANY ($1::text[]);

-- name: model_outputs
-- Models that they wrote.
SELECT run_id, model_id, step, time FROM model_outputs WHERE run_id = ANY ($1::text[]);

-- name: logged_models
-- Logged models of these streams.
SELECT stream, model_id, experiment_id, name, model_type, source_run_id, status, lifecycle_stage, params, tags,
       creation_time, last_update_time
FROM logged_models WHERE stream = ANY ($1::text[]);

-- name: model_artifacts
-- Pointers to the files of logged models of these streams.
SELECT stream, model_id, path, uri, size, sha256, media_type, time FROM model_artifacts
WHERE stream = ANY ($1::text[]);

-- name: marks
-- What has come of the sessions that wrote to these streams?
SELECT stream, session, high_seq, missing, declared, ended, end_reason, clean FROM marks
WHERE stream = ANY ($1::text[]);

-- name: installation
-- Which installation is it?
SELECT installation_id, partitions, creation_time FROM installation;

-- name: experiments
-- All experiments.
SELECT experiment_id, name, created_as, lifecycle_stage, creation_time, last_update_time, artifact_location
FROM experiments;

-- name: experiment_tags
-- All of their tags.
SELECT experiment_id, key, value FROM experiment_tags;

-- name: registered_models
-- All registered models.
SELECT name, description, creation_time, last_update_time, last_version FROM registered_models;

-- name: registered_model_tags
-- All of their tags.
SELECT name, key, value FROM registered_model_tags;

-- name: registered_model_aliases
-- All of their aliases.
SELECT name, alias, version FROM registered_model_aliases;

-- name: model_versions
-- All of their versions.
SELECT name, version, source, run_id, run_link, description, model_id, user_name, current_stage, creation_time,
       last_update_time, lifecycle_stage, storage_location
FROM model_versions;

-- name: model_version_tags
-- All tags of versions.
SELECT name, version, key, value FROM model_version_tags;

-- name: verdicts
-- What was said to requests, as far as it is kept.
SELECT request, code, answer FROM verdicts;

-- name: ingest_partitions
-- What was counted in each partition?
SELECT topic, partition, next_offset, records, duplicates, dead FROM ingest_partitions WHERE next_offset > 0;

-- name: dead_letters
-- Where do the dead letters lie?
SELECT topic, partition, "offset" FROM dead_letters;
