-- Making one stream's rows again from the topic.

-- name: place
-- How far is this partition applied, and what was the last record?
SELECT next_offset, last_hash FROM ingest_partitions WHERE topic = $1 AND partition = $2;

-- name: fence
-- The same, and nobody else writes the partition until this transaction ends: its worker finds its epoch gone,
-- forgets the rows it remembers and takes the partition again.
UPDATE ingest_partitions SET epoch = epoch + 1 WHERE topic = $1 AND partition = $2
RETURNING next_offset, last_hash;

-- name: take_dead_letters
-- The dead letters with this key, which are about to be judged again.
DELETE FROM dead_letters WHERE topic = $1 AND partition = $2 AND key = $3
RETURNING "offset", stream, session, first_seq, n, at;

-- name: restore_times
-- Dead letters that stay so keep the time at which they were found.
UPDATE dead_letters d SET at = old.at
FROM unnest($3::bigint[], $4::timestamptz[]) AS old ("offset", at)
WHERE d.topic = $1 AND d.partition = $2 AND d."offset" = old."offset";

-- name: exclude_merging
-- Nobody moves chunks of the stream before this transaction ends. A statement of its own, before the rows are
-- looked for: what was being moved would not be seen at its new place.
SELECT pg_advisory_xact_lock(29300, hashtext(current_schema() || $1::text));

-- name: delete_run_stream
-- Every row that the stream of a run or of a logged model has made.
WITH a AS (DELETE FROM runs WHERE run_id = $1),
     b AS (DELETE FROM params WHERE run_id = $1),
     c AS (DELETE FROM param_conflicts WHERE run_id = $1),
     d AS (DELETE FROM tags WHERE run_id = $1),
     e AS (DELETE FROM metric_chunks WHERE run_id = $1),
     n AS (DELETE FROM merged_chunks WHERE run_id = $1),
     f AS (DELETE FROM latest_metrics WHERE run_id = $1),
     g AS (DELETE FROM ranked_metrics WHERE run_id = $1),
     h AS (DELETE FROM artifacts WHERE run_id = $1),
     i AS (DELETE FROM dataset_inputs WHERE run_id = $1),
     j AS (DELETE FROM model_inputs WHERE run_id = $1),
     k AS (DELETE FROM model_outputs WHERE run_id = $1),
     l AS (DELETE FROM logged_models WHERE stream = $1),
     m AS (DELETE FROM model_artifacts WHERE stream = $1)
DELETE FROM marks WHERE stream = $1;

-- name: delete_catalog_stream
-- Every row that the catalog has made; the registry's other tables hang on registered_models.
WITH a AS (DELETE FROM installation),
     b AS (DELETE FROM experiments WHERE experiment_id <> 0),
     c AS (DELETE FROM experiment_tags),
     d AS (DELETE FROM verdicts),
     e AS (DELETE FROM registered_models)
DELETE FROM marks WHERE stream = $1;

-- name: reset_default_experiment
-- The experiment that is there before the catalog's first record, as it was then.
UPDATE experiments SET name = 'Default', lifecycle_stage = 'active', creation_time = 0, last_update_time = 0,
                       artifact_location = ''
WHERE experiment_id = 0;

-- name: recount
-- So many more records of the partition are duplicates, so many more are dead letters (or fewer).
UPDATE ingest_partitions SET duplicates = duplicates + $3, dead = dead + $4
WHERE topic = $1 AND partition = $2;
