-- name: runs
-- Everything that MLflow's clients are told of these runs, with the tags that are derived for them. Lists are the
-- texts of JSON arrays, null where they are empty; a metric's value is a text, for JSON has no NaN. A run whose
-- start has not come has no experiment and is none to MLflow yet.
SELECT r.run_id, r.experiment_id, r.name, {user_id} AS user_id, r.status, r.start_time, r.end_time,
       {stage} AS lifecycle_stage, {artifact_uri} AS artifact_uri, {derived},
       (SELECT json_agg(json_build_array(m.key, m.value::text, m.time, m.step))
        FROM (SELECT DISTINCT ON (l.key) l.key, l.value, l.time, l.step
              FROM {schema}.latest_metrics l WHERE l.run_id = r.run_id
              ORDER BY l.key, l.step DESC, l.time DESC, l.value = 'NaN', l.value DESC) m) AS metrics,
       (SELECT json_agg(json_build_array(p.key, p.value) ORDER BY p.key)
        FROM {schema}.params p WHERE p.run_id = r.run_id) AS params,
       (SELECT json_agg(json_build_array(t.key, t.value) ORDER BY t.key)
        FROM {schema}.tags t WHERE t.run_id = r.run_id) AS tags,
       (SELECT json_agg(json_build_object(
                   'name', d.name, 'digest', d.digest, 'source_type', d.source_type, 'source', d.source,
                   'schema', d.schema, 'profile', d.profile, 'tags', d.tags, 'stored', d.stored)
               ORDER BY d.time, d.name, d.digest)
        FROM {schema}.dataset_inputs d WHERE d.run_id = r.run_id) AS datasets,
       (SELECT json_agg(i.model_id ORDER BY i.time, i.model_id)
        FROM {schema}.model_inputs i WHERE i.run_id = r.run_id) AS model_inputs,
       (SELECT json_agg(json_build_array(o.model_id, o.step) ORDER BY o.time, o.model_id, o.step)
        FROM {schema}.model_outputs o WHERE o.run_id = r.run_id) AS model_outputs
FROM {schema}.runs r
WHERE r.run_id = ANY($1::text[]) AND r.experiment_id IS NOT NULL
