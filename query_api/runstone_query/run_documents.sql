-- Everything of a page of runs, a statement each for the whole page.

-- name: runs
-- What is known of these runs themselves? The experiment's name is today's, else what the client knew. A run
-- is stale when heartbeats come, but for so many ms ($2) none of its owner, and no record of anybody.
SELECT r.run_id, r.experiment_id, coalesce(e.name, r.experiment_name) AS experiment_name, r.name, r.status,
       r.status_reason, r.lifecycle_stage, r.start_time, r.end_time, nullif(r.user_name, '') AS user_name,
       nullif(r.parent_run_id, '') AS parent_run_id, r.context,
       greatest(h.heard_at, m.last_time) AS last_heard_at,
       coalesce(r.status = 'RUNNING' AND h.heard_at IS NOT NULL
                AND greatest(h.heard_at, m.last_time) < heartbeats.heard_at - $2::bigint, false) AS stale
FROM {schema}.runs r LEFT JOIN {schema}.experiments e USING (experiment_id)
LEFT JOIN runstone_meta.heard h ON h.session = r.owner_session
LEFT JOIN runstone_meta.heard heartbeats ON heartbeats.session = ''
LEFT JOIN LATERAL (SELECT max(last_time) AS last_time FROM {schema}.marks WHERE stream = r.run_id) m ON true
WHERE r.run_id = ANY($1::text[])

-- name: params
-- The params of these runs.
SELECT run_id, key, value FROM {schema}.params WHERE run_id = ANY($1::text[]) ORDER BY run_id, key

-- name: param_conflicts
-- The values that contradict a param of these runs, in the order they came.
SELECT run_id, key, value FROM {schema}.param_conflicts WHERE run_id = ANY($1::text[])
ORDER BY run_id, key, time, value

-- name: tags
-- The tags of these runs.
SELECT run_id, key, value FROM {schema}.tags WHERE run_id = ANY($1::text[]) ORDER BY run_id, key

-- name: datasets
-- Which datasets did these runs read, and what for? In the order in which they were logged.
SELECT run_id, name, digest, tags ->> 'mlflow.data.context' AS context
FROM {schema}.dataset_inputs WHERE run_id = ANY($1::text[]) ORDER BY run_id, time, name, digest

-- name: metrics
-- The latest value of each metric of these runs, over all models and datasets; NaN counts as the lowest.
SELECT DISTINCT ON (run_id, key) run_id, key, value
FROM {schema}.latest_metrics WHERE run_id = ANY($1::text[])
ORDER BY run_id, key, step DESC, time DESC, value = 'NaN', value DESC

-- name: marks
-- What has come of each session that wrote to these runs?
SELECT stream, session, high_seq, missing, declared, ended, end_reason, clean
FROM {schema}.marks WHERE stream = ANY($1::text[]) ORDER BY stream, session

-- name: dead_letters
-- How many records of these runs could not be applied?
SELECT stream, count(*) AS dead FROM {schema}.dead_letters WHERE stream = ANY($1::text[]) GROUP BY stream

-- name: exists
-- Is there such a run?
SELECT FROM {schema}.runs WHERE run_id = $1::text
