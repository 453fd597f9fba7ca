-- The first read model. Frozen: schema.sql says what its columns mean.
CREATE TABLE ingest_partitions (
    topic          text     NOT NULL,
    partition      integer  NOT NULL,
    next_offset    bigint   NOT NULL DEFAULT 0,
    last_hash      bytea,
    epoch          bigint   NOT NULL DEFAULT 0,
    owner          text,
    backend_pid    integer,
    backend_start  timestamptz,
    records        bigint   NOT NULL DEFAULT 0,
    duplicates     bigint   NOT NULL DEFAULT 0,
    dead           bigint   NOT NULL DEFAULT 0,
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition),
    CHECK (next_offset >= 0 AND epoch >= 0 AND records >= duplicates + dead)
);
CREATE TABLE marks (
    stream      text     NOT NULL,
    session     text     NOT NULL,
    high_seq    bigint   NOT NULL,
    missing     int8multirange NOT NULL DEFAULT '{}',
    declared    jsonb    NOT NULL DEFAULT '[]',
    ended       text,
    end_reason  text,
    clean       boolean,
    PRIMARY KEY (stream, session),
    CHECK (high_seq >= -1 AND ended IN ('ended', 'lost'))
);
CREATE TABLE dead_letters (
    topic      text    NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint  NOT NULL,
    reason     text    NOT NULL,
    stream     text,
    session    text,
    first_seq  bigint,
    n          bigint,
    key        bytea,
    value      bytea,
    headers    jsonb   NOT NULL DEFAULT '[]',
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
);
CREATE TABLE installation (
    single           boolean PRIMARY KEY DEFAULT true CHECK (single),
    installation_id  text    NOT NULL,
    partitions       integer NOT NULL,
    creation_time    bigint  NOT NULL,
    CHECK (partitions > 0)
);
CREATE TABLE experiments (
    experiment_id    bigint PRIMARY KEY,
    name             text   NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE,
    created_as       text   NOT NULL,
    lifecycle_stage  text   NOT NULL DEFAULT 'active',
    creation_time    bigint NOT NULL,
    last_update_time bigint NOT NULL,
    CHECK (experiment_id >= 0 AND length(name) BETWEEN 1 AND 500),
    CHECK (lifecycle_stage IN ('active', 'deleted'))
);
INSERT INTO experiments (experiment_id, name, created_as, creation_time, last_update_time)
VALUES (0, 'Default', 'Default', 0, 0);

CREATE TABLE experiment_tags (
    experiment_id  bigint NOT NULL,
    key            text   NOT NULL,
    value          text   NOT NULL,
    PRIMARY KEY (experiment_id, key)
);
CREATE TABLE runs (
    run_id           text   PRIMARY KEY,
    experiment_id    bigint,
    experiment_name  text,
    name             text,
    status           text   NOT NULL DEFAULT 'RUNNING',
    status_reason    text,
    lifecycle_stage  text   NOT NULL DEFAULT 'active',
    start_time       bigint,
    end_time         bigint,
    user_name        text,
    parent_run_id    text,
    context          jsonb  NOT NULL DEFAULT '{}',
    attempt          integer NOT NULL DEFAULT 0,
    owner_session    text,
    ended_by         text,
    topic_partition  integer NOT NULL,
    last_offset      bigint NOT NULL,
    CHECK (status IN ('SCHEDULED', 'RUNNING', 'FINISHED', 'FAILED', 'KILLED')),
    CHECK (lifecycle_stage IN ('active', 'deleted')),
    CHECK (ended_by IN ('run_ended', 'session_ended', 'session_lost'))
) WITH (fillfactor = 80);
CREATE INDEX runs_by_start ON runs (start_time DESC NULLS LAST, run_id);
CREATE INDEX runs_by_experiment ON runs (experiment_id, start_time DESC NULLS LAST, run_id);
CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE TABLE params (
    run_id  text   NOT NULL,
    key     text   NOT NULL,
    value   text   NOT NULL,
    time    bigint NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX params_by_value ON params (key, left(value, 200), run_id);
CREATE TABLE param_conflicts (
    run_id   text   NOT NULL,
    key      text   NOT NULL,
    value    text   NOT NULL,
    session  text   NOT NULL,
    time     bigint NOT NULL
);
CREATE UNIQUE INDEX param_conflicts_key ON param_conflicts (run_id, key, md5(value));
CREATE TABLE tags (
    run_id  text   NOT NULL,
    key     text   NOT NULL,
    value   text   NOT NULL,
    time    bigint NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX tags_by_value ON tags (key, left(value, 200), run_id);
CREATE TABLE metric_chunks (
    run_id          text     NOT NULL,
    key             text     NOT NULL,
    model_id        text     NOT NULL,
    dataset_name    text     NOT NULL,
    dataset_digest  text     NOT NULL,
    first_offset    bigint   NOT NULL,
    steps           bigint[] NOT NULL,
    times           bigint[] NOT NULL,
    vals            float8[] NOT NULL,
    CHECK (cardinality(steps) > 0 AND cardinality(steps) = cardinality(times) AND cardinality(steps) = cardinality(vals))
);
CREATE INDEX metric_chunks_by_series ON metric_chunks (run_id, key, first_offset);
DO $$ BEGIN
    ALTER TABLE metric_chunks ALTER steps SET COMPRESSION lz4, ALTER times SET COMPRESSION lz4,
        ALTER vals SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL;
END $$;
CREATE TABLE latest_metrics (
    run_id          text   NOT NULL,
    key             text   NOT NULL,
    model_id        text   NOT NULL,
    dataset_name    text   NOT NULL,
    dataset_digest  text   NOT NULL,
    step            bigint NOT NULL,
    time            bigint NOT NULL,
    value           float8 NOT NULL,
    points          bigint NOT NULL,
    PRIMARY KEY (run_id, key, model_id, dataset_name, dataset_digest),
    CHECK (points > 0)
) WITH (fillfactor = 50);
CREATE TABLE ranked_metrics (
    run_id  text   NOT NULL,
    key     text   NOT NULL,
    value   float8 NOT NULL,
    PRIMARY KEY (run_id, key)
);
CREATE INDEX ranked_metrics_by_value ON ranked_metrics (key, value, run_id);
CREATE TABLE artifacts (
    run_id      text   NOT NULL,
    path        text   NOT NULL,
    uri         text   NOT NULL,
    size        bigint NOT NULL,
    sha256      text   NOT NULL,
    media_type  text   NOT NULL,
    time        bigint NOT NULL,
    PRIMARY KEY (run_id, path),
    CHECK (size >= 0)
);
CREATE TABLE dataset_inputs (
    run_id       text   NOT NULL,
    name         text   NOT NULL,
    digest       text   NOT NULL,
    source_type  text   NOT NULL,
    source       text   NOT NULL,
    schema       text   NOT NULL,
    profile      text   NOT NULL,
    tags         jsonb  NOT NULL,
    time         bigint NOT NULL,
    PRIMARY KEY (run_id, name, digest)
);
CREATE TABLE model_inputs (
    run_id    text   NOT NULL,
    model_id  text   NOT NULL,
    time      bigint NOT NULL,
    PRIMARY KEY (run_id, model_id)
);
CREATE TABLE model_outputs (
    run_id    text   NOT NULL,
    model_id  text   NOT NULL,
    step      bigint NOT NULL,
    time      bigint NOT NULL,
    PRIMARY KEY (run_id, model_id, step)
);
CREATE TABLE logged_models (
    model_id         text   NOT NULL,
    stream           text   NOT NULL,
    experiment_id    bigint,
    name             text,
    model_type       text   NOT NULL DEFAULT '',
    source_run_id    text   NOT NULL DEFAULT '',
    status           text   NOT NULL DEFAULT 'PENDING',
    lifecycle_stage  text   NOT NULL DEFAULT 'active',
    params           jsonb  NOT NULL DEFAULT '{}',
    tags             jsonb  NOT NULL DEFAULT '{}',
    creation_time    bigint,
    last_update_time bigint,
    PRIMARY KEY (stream, model_id),
    CHECK (status IN ('PENDING', 'READY', 'FAILED')),
    CHECK (lifecycle_stage IN ('active', 'deleted'))
);
