-- The rows that a batch meets, read before its transaction begins.

-- name: marks
-- What has been applied of these sessions in these streams?
SELECT m.stream, m.session, m.high_seq, m.missing, m.declared, m.ended, m.end_reason, m.clean, m.last_time
FROM unnest($1::text[], $2::text[]) AS wanted (stream, session)
JOIN marks m ON m.stream = wanted.stream AND m.session = wanted.session;

-- name: runs
-- What is known of these runs?
SELECT run_id, topic_partition, last_offset, experiment_id, experiment_name, name, status, status_reason,
       lifecycle_stage, start_time, end_time, user_name, parent_run_id, context, attempt, owner_session, ended_by
FROM runs WHERE run_id = ANY ($1::text[]);

-- name: models
-- What is known of these logged models?
SELECT m.model_id, m.stream, m.experiment_id, m.name, m.model_type, m.source_run_id, m.status,
       m.lifecycle_stage, m.params, m.tags, m.creation_time, m.last_update_time
FROM unnest($1::text[], $2::text[]) AS wanted (stream, model_id)
JOIN logged_models m ON m.stream = wanted.stream AND m.model_id = wanted.model_id;

-- name: experiments
-- Which experiments have these ids or names, or were created under one of the names?
SELECT experiment_id, name, created_as, creation_time, last_update_time, lifecycle_stage, artifact_location
FROM experiments
WHERE experiment_id = ANY ($1::bigint[]) OR name = ANY ($2::text[]) OR created_as = ANY ($2::text[]);

-- name: experiment_tags
-- Which of these tags of experiments are there?
SELECT t.experiment_id, t.key
FROM unnest($1::bigint[], $2::text[]) AS wanted (experiment_id, key)
JOIN experiment_tags t ON t.experiment_id = wanted.experiment_id AND t.key = wanted.key;

-- name: registered_models
-- What is known of the registered models with these names?
SELECT name, description, creation_time, last_update_time, last_version
FROM registered_models WHERE name = ANY ($1::text[]);

-- name: model_versions
-- Which versions do models with these names have that bear one of these numbers or are in one of these stages?
SELECT name, version, source, creation_time, last_update_time, run_id, run_link, description, model_id,
       user_name, current_stage, lifecycle_stage, storage_location
FROM model_versions
WHERE name = ANY ($1::text[]) AND (version = ANY ($2::bigint[]) OR current_stage = ANY ($3::text[]));

-- name: installed
-- Is the installation known already?
SELECT EXISTS (SELECT FROM installation);
