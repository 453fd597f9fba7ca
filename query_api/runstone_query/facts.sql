-- name: facts
-- What do these runs, experiments and models look like, of which generation, with what applied? One statement,
-- and so one snapshot. $1: run ids; $2, $3: pairs of run id and param key; $4: experiments' ids; $5: model
-- ids; $6, $7: pairs of run id and tag key; $8, $9: of run id and dataset name. Each answer is the text of a
-- JSON object, null where nothing was found. A run of a deleted experiment is as good as deleted.
SELECT
    (SELECT generation FROM runstone_meta.live) AS generation,
    (SELECT json_object_agg(topic, partitions)
     FROM (SELECT topic, json_object_agg(partition, next_offset) AS partitions
           FROM {schema}.ingest_partitions GROUP BY topic) per_topic) AS applied,
    (SELECT json_object_agg(r.run_id, json_build_object(
         'experiment_id', r.experiment_id,
         'experiment_name', coalesce(e.name, r.experiment_name),
         'name', r.name,
         'status', r.status,
         'lifecycle_stage', CASE WHEN e.lifecycle_stage = 'deleted' THEN 'deleted' ELSE r.lifecycle_stage END,
         'artifact_location', e.artifact_location,
         'start_time', r.start_time,
         'end_time', r.end_time,
         'user', r.user_name,
         'params', coalesce((SELECT json_object_agg(p.key, p.value)
                             FROM unnest($2::text[], $3::text[]) AS wanted (run_id, key)
                             JOIN {schema}.params p USING (run_id, key)
                             WHERE wanted.run_id = r.run_id), '{}'),
         'tags', coalesce((SELECT json_object_agg(t.key, t.value)
                           FROM unnest($6::text[], $7::text[]) AS wanted (run_id, key)
                           JOIN {schema}.tags t USING (run_id, key)
                           WHERE wanted.run_id = r.run_id), '{}'),
         'datasets', coalesce((SELECT json_object_agg(name, digests)
                               FROM (SELECT d.name, json_agg(d.digest) AS digests
                                     FROM unnest($8::text[], $9::text[]) AS wanted (run_id, name)
                                     JOIN {schema}.dataset_inputs d USING (run_id, name)
                                     WHERE wanted.run_id = r.run_id GROUP BY d.name) per_name), '{}')))
     FROM {schema}.runs r LEFT JOIN {schema}.experiments e USING (experiment_id)
     WHERE r.run_id = ANY($1::text[])) AS runs,
    (SELECT json_object_agg(experiment_id, json_build_object(
         'name', name, 'lifecycle_stage', lifecycle_stage, 'artifact_location', artifact_location))
     FROM {schema}.experiments WHERE experiment_id = ANY($4::bigint[])) AS experiments,
    (SELECT json_object_agg(model_id, json_build_object(
         'stream', stream, 'experiment_id', experiment_id, 'name', name, 'source_run_id', source_run_id,
         'status', status, 'lifecycle_stage', lifecycle_stage, 'params', params))
     FROM {schema}.logged_models WHERE model_id = ANY($5::text[]) AND experiment_id IS NOT NULL) AS models
