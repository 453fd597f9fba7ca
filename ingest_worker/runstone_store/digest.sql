-- The logical content of streams: the named columns, table by table, that docs/read-model.md lists under
-- "Digests". Each block answers (stream, digest) for the streams $1, digest being the SHA-256 of the rows as
-- text in the order of their keys.

-- name: streams
-- Which streams are there? Every one of which something was applied has a mark.
SELECT DISTINCT stream FROM marks WHERE stream <> 'catalog';

-- name: some_streams
-- Those of the streams $1 that there are: id, experiment and last applied offset, as far as they are known.
SELECT s.stream, r.experiment_id, r.last_offset
FROM (SELECT DISTINCT stream FROM marks WHERE stream = ANY($1::text[])) s
LEFT JOIN runs r ON r.run_id = s.stream;

-- name: run
-- What is a run?
SELECT run_id, encode(sha256(convert_to(ROW(experiment_id, experiment_name, name, status, status_reason,
    lifecycle_stage, start_time, end_time, user_name, parent_run_id, context, attempt, owner_session,
    ended_by)::text, 'UTF8')), 'hex')
FROM runs WHERE run_id = ANY($1::text[]);

-- name: params
-- Which params has a run?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(key, value, time)::text, E'\n'
    ORDER BY key COLLATE "C"), 'UTF8')), 'hex')
FROM params WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: param_conflicts
-- Which values contradict them?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(key, value, session, time)::text, E'\n'
    ORDER BY key COLLATE "C", value COLLATE "C"), 'UTF8')), 'hex')
FROM param_conflicts WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: tags
-- Which tags has a run?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(key, value, time)::text, E'\n'
    ORDER BY key COLLATE "C"), 'UTF8')), 'hex')
FROM tags WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: latest_metrics
-- What is the latest point of each series, and how many are there?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(key, model_id, dataset_name, dataset_digest, step,
    time, value, points)::text, E'\n' ORDER BY key COLLATE "C", model_id COLLATE "C",
    dataset_name COLLATE "C", dataset_digest COLLATE "C"), 'UTF8')), 'hex')
FROM latest_metrics WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: ranked_metrics
-- By which values is a run found? Those of a running one may be seconds old.
SELECT m.run_id, encode(sha256(convert_to(string_agg(ROW(m.key, m.value)::text, E'\n'
    ORDER BY m.key COLLATE "C"), 'UTF8')), 'hex')
FROM ranked_metrics m JOIN runs r USING (run_id)
WHERE m.run_id = ANY($1::text[]) AND r.status NOT IN ('RUNNING', 'SCHEDULED') GROUP BY m.run_id;

-- name: artifacts
-- Where do a run's artifacts lie?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(path, uri, size, sha256, media_type, time)::text, E'\n'
    ORDER BY path COLLATE "C"), 'UTF8')), 'hex')
FROM artifacts WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: dataset_inputs
-- Which datasets did a run read?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(name, digest, source_type, source, schema, profile,
    tags, time, stored)::text, E'\n' ORDER BY name COLLATE "C", digest COLLATE "C"), 'UTF8')), 'hex')
FROM dataset_inputs WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: model_inputs
-- Which models did it read?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(model_id, time)::text, E'\n'
    ORDER BY model_id COLLATE "C"), 'UTF8')), 'hex')
FROM model_inputs WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: model_outputs
-- Which models did it write?
SELECT run_id, encode(sha256(convert_to(string_agg(ROW(model_id, step, time)::text, E'\n'
    ORDER BY model_id COLLATE "C", step), 'UTF8')), 'hex')
FROM model_outputs WHERE run_id = ANY($1::text[]) GROUP BY run_id;

-- name: logged_models
-- Which logged models lie in the stream?
SELECT stream, encode(sha256(convert_to(string_agg(ROW(model_id, experiment_id, name, model_type,
    source_run_id, status, lifecycle_stage, params, tags, creation_time, last_update_time)::text, E'\n'
    ORDER BY model_id COLLATE "C"), 'UTF8')), 'hex')
FROM logged_models WHERE stream = ANY($1::text[]) GROUP BY stream;

-- name: model_artifacts
-- Where do their files lie?
SELECT stream, encode(sha256(convert_to(string_agg(ROW(model_id, path, uri, size, sha256, media_type,
    time)::text, E'\n' ORDER BY model_id COLLATE "C", path COLLATE "C"), 'UTF8')), 'hex')
FROM model_artifacts WHERE stream = ANY($1::text[]) GROUP BY stream;

-- name: sessions
-- How complete is the stream?
SELECT stream, encode(sha256(convert_to(string_agg(ROW(session, high_seq, missing, declared, ended,
    end_reason, clean)::text, E'\n' ORDER BY session COLLATE "C"), 'UTF8')), 'hex')
FROM marks WHERE stream = ANY($1::text[]) GROUP BY stream;

-- name: dead_letters
-- Which of its records could not be applied?
SELECT stream, encode(sha256(convert_to(string_agg(ROW(topic, partition, "offset")::text, E'\n'
    ORDER BY topic COLLATE "C", partition, "offset"), 'UTF8')), 'hex')
FROM dead_letters WHERE stream = ANY($1::text[]) GROUP BY stream;

-- name: points
-- The points of every series, chunk by chunk in topic order, for chunk_arrays.
SELECT run_id, key, model_id, dataset_name, dataset_digest, first_step, step_stride, sent_steps, first_time,
       time_stride, sent_times, sent_vals
FROM stored_chunks WHERE run_id = ANY($1::text[])
ORDER BY run_id COLLATE "C", key COLLATE "C", model_id COLLATE "C", dataset_name COLLATE "C",
         dataset_digest COLLATE "C", first_offset;

-- name: catalog
-- What does the catalog hold? A row a table: its name, and the digest of its rows.
SELECT 'installation', (SELECT encode(sha256(convert_to(string_agg(
    ROW(installation_id, partitions, creation_time)::text, E'\n'), 'UTF8')), 'hex') FROM installation)
UNION ALL SELECT 'experiments', (SELECT encode(sha256(convert_to(string_agg(
    ROW(experiment_id, name, created_as, lifecycle_stage, creation_time, last_update_time,
        artifact_location)::text, E'\n' ORDER BY experiment_id), 'UTF8')), 'hex') FROM experiments)
UNION ALL SELECT 'experiment_tags', (SELECT encode(sha256(convert_to(string_agg(
    ROW(experiment_id, key, value)::text, E'\n' ORDER BY experiment_id, key COLLATE "C"), 'UTF8')), 'hex')
    FROM experiment_tags)
UNION ALL SELECT 'registered_models', (SELECT encode(sha256(convert_to(string_agg(
    ROW(name, description, creation_time, last_update_time, last_version)::text, E'\n'
    ORDER BY name COLLATE "C"), 'UTF8')), 'hex') FROM registered_models)
UNION ALL SELECT 'registered_model_tags', (SELECT encode(sha256(convert_to(string_agg(
    ROW(name, key, value)::text, E'\n' ORDER BY name COLLATE "C", key COLLATE "C"), 'UTF8')), 'hex')
    FROM registered_model_tags)
UNION ALL SELECT 'model_versions', (SELECT encode(sha256(convert_to(string_agg(
    ROW(name, version, source, run_id, run_link, description, model_id, user_name, current_stage, status,
        creation_time, last_update_time, lifecycle_stage, storage_location)::text, E'\n'
    ORDER BY name COLLATE "C", version), 'UTF8')), 'hex') FROM model_versions)
UNION ALL SELECT 'model_version_tags', (SELECT encode(sha256(convert_to(string_agg(
    ROW(name, version, key, value)::text, E'\n' ORDER BY name COLLATE "C", version, key COLLATE "C"),
    'UTF8')), 'hex') FROM model_version_tags)
UNION ALL SELECT 'registered_model_aliases', (SELECT encode(sha256(convert_to(string_agg(
    ROW(name, alias, version)::text, E'\n' ORDER BY name COLLATE "C", alias COLLATE "C"), 'UTF8')), 'hex')
    FROM registered_model_aliases)
UNION ALL SELECT 'sessions', (SELECT encode(sha256(convert_to(string_agg(
    ROW(session, high_seq, missing, declared, ended, end_reason, clean)::text, E'\n'
    ORDER BY session COLLATE "C"), 'UTF8')), 'hex') FROM marks WHERE stream = 'catalog')
UNION ALL SELECT 'dead_letters', (SELECT encode(sha256(convert_to(string_agg(
    ROW(topic, partition, "offset")::text, E'\n' ORDER BY topic COLLATE "C", partition, "offset"), 'UTF8')),
    'hex') FROM dead_letters WHERE stream = 'catalog' OR stream IS NULL);
