-- Merged chunks, the views over both kinds, and settings against bloat. Frozen: schema.sql says what the columns
-- mean and why the settings are what they are.

CREATE TABLE merged_chunks (
    run_id          text     NOT NULL,
    key             text     NOT NULL,
    model_id        text     NOT NULL,
    dataset_name    text     NOT NULL,
    dataset_digest  text     NOT NULL,
    first_offset    bigint   NOT NULL,
    last_offset     bigint   NOT NULL,
    points          integer  NOT NULL,
    first_step      bigint   NOT NULL,
    step_stride     bigint   NOT NULL,
    narrow_steps    integer[],
    wide_steps      bigint[],
    first_time      bigint   NOT NULL,
    time_stride     bigint   NOT NULL,
    narrow_times    integer[],
    wide_times      bigint[],
    vals            float8[] NOT NULL,
    CHECK (points > 0 AND points = cardinality(vals) AND last_offset >= first_offset),
    CHECK (num_nonnulls(narrow_steps, wide_steps) = 1 AND num_nonnulls(narrow_times, wide_times) = 1),
    CHECK (points = coalesce(cardinality(narrow_steps), cardinality(wide_steps))
           AND points = coalesce(cardinality(narrow_times), cardinality(wide_times)))
);
CREATE INDEX merged_chunks_by_series ON merged_chunks (run_id, key, first_offset);
DO $$ BEGIN
    ALTER TABLE merged_chunks ALTER narrow_steps SET COMPRESSION lz4, ALTER wide_steps SET COMPRESSION lz4,
        ALTER narrow_times SET COMPRESSION lz4, ALTER wide_times SET COMPRESSION lz4, ALTER vals SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;

ALTER TABLE metric_chunks
    ALTER steps SET COMPRESSION default, ALTER times SET COMPRESSION default, ALTER vals SET COMPRESSION default,
    ALTER steps SET STORAGE EXTERNAL, ALTER times SET STORAGE EXTERNAL, ALTER vals SET STORAGE EXTERNAL;

CREATE VIEW stored_chunks AS
SELECT run_id, key, model_id, dataset_name, dataset_digest, first_offset, first_offset AS last_offset,
       cardinality(vals) AS points,
       0::bigint AS first_step, 0::bigint AS step_stride, NULL::integer[] AS narrow_steps, steps AS wide_steps,
       0::bigint AS first_time, 0::bigint AS time_stride, NULL::integer[] AS narrow_times, times AS wide_times,
       vals, array_send(steps) AS sent_steps, array_send(times) AS sent_times, array_send(vals) AS sent_vals
FROM metric_chunks
UNION ALL
SELECT run_id, key, model_id, dataset_name, dataset_digest, first_offset, last_offset, points,
       first_step, step_stride, narrow_steps, wide_steps, first_time, time_stride, narrow_times, wide_times, vals,
       coalesce(array_send(narrow_steps), array_send(wide_steps)),
       coalesce(array_send(narrow_times), array_send(wide_times)), array_send(vals)
FROM merged_chunks;

CREATE VIEW metric_points AS
SELECT c.run_id, c.key, c.model_id, c.dataset_name, c.dataset_digest, c.first_offset, p.place,
       coalesce(c.first_step + c.step_stride * (p.place - 1) + p.narrow_step, p.wide_step) AS step,
       coalesce(c.first_time + c.time_stride * (p.place - 1) + p.narrow_time, p.wide_time) AS time,
       p.value
FROM stored_chunks c
CROSS JOIN LATERAL unnest(c.narrow_steps, c.wide_steps, c.narrow_times, c.wide_times, c.vals)
    WITH ORDINALITY AS p (narrow_step, wide_step, narrow_time, wide_time, value, place);

ALTER TABLE ingest_partitions SET (fillfactor = 20);
ALTER TABLE marks SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE latest_metrics SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE ranked_metrics SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE metric_chunks SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 10000, toast.autovacuum_vacuum_insert_threshold = -1);
