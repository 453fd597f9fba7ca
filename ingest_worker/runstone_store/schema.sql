-- The read model: one generation of it, complete.
--
-- Everything here is made from the topics by runstone_ingest and can be thrown away and made again; nothing
-- is ever written by anybody else. The statements name no schema: a generation is the schema in which they
-- are run (search_path). Stable names for people are the views in schema "runstone" (views.sql).
--
-- Times are integer milliseconds UTC by the clock of the client that wrote the event, unless a column says
-- otherwise. Run ids and session ids are 32 hexadecimal digits made by the clients, ids of logged models are
-- "m-" and 32 hexadecimal digits.
-- "immutable": written once with its row. "mutable": a later event may change it. Writer: the worker.

-- Where ingest stands: one row a topic partition, the truth that Kafka's committed offsets only echo.
CREATE TABLE ingest_partitions (
    topic          text     NOT NULL,             -- immutable
    partition      integer  NOT NULL,             -- immutable
    next_offset    bigint   NOT NULL DEFAULT 0,   -- mutable: the first offset not applied; moves by compare-and-set
    last_hash      bytea,                         -- mutable: SHA-256 (first 16 bytes) of the last applied record's key, value and headers
    epoch          bigint   NOT NULL DEFAULT 0,   -- mutable: grows with each new owner; an older owner's writes find no row
    owner          text,                          -- mutable: host:pid:uuid of the owning worker, for people
    backend_pid    integer,                       -- mutable: the owner's Postgres backend, which a new owner may terminate
    backend_start  timestamptz,                   -- mutable: tells that backend from a later one with the same pid
    records        bigint   NOT NULL DEFAULT 0,   -- mutable: Kafka records seen, dead letters and duplicates included
    duplicates     bigint   NOT NULL DEFAULT 0,   -- mutable: Kafka records of which every event had been applied already
    dead           bigint   NOT NULL DEFAULT 0,   -- mutable: Kafka records that became dead letters
    updated_at     timestamptz NOT NULL DEFAULT now(),  -- mutable: the server's clock at the last commit
    dead_accepted_until bigint NOT NULL DEFAULT 0,-- mutable, by 'runstone repair': below this offset dead letters do not trip the breaker
    PRIMARY KEY (topic, partition),
    CHECK (next_offset >= 0 AND epoch >= 0 AND records >= duplicates + dead)
) WITH (fillfactor = 20);  -- a row is replaced with every batch: old versions have room in its page, and go with the next look at it

-- Partitions of which nothing more is applied until somebody has decided: rows come from the worker and go by
-- 'runstone repair' (those of kind 'poison' also when a worker of another version begins).
CREATE TABLE halts (
    topic      text        NOT NULL,              -- immutable, as are all
    partition  integer     NOT NULL,
    kind       text        NOT NULL,              -- what happened: see docs/read-model.md, 'A partition that halts'
    reason     text        NOT NULL,              -- for a person: what was found, what was expected
    version    text        NOT NULL,              -- of the worker that halted it
    at         timestamptz NOT NULL DEFAULT now(),-- the server's clock
    PRIMARY KEY (topic, partition),
    FOREIGN KEY (topic, partition) REFERENCES ingest_partitions,
    CHECK (kind IN ('lost', 'rewritten', 'recreated', 'poison'))
);

-- What is wrong with the topics' settings, in words, as a worker last found it; empty when all is well.
CREATE TABLE ledger_findings (
    finding  text        PRIMARY KEY,             -- immutable: what is wrong and what to do
    at       timestamptz NOT NULL DEFAULT now()   -- immutable: the server's clock when it was first found
);

-- What of a session's records in a stream has been applied. Absent seqs below high_seq are in "missing".
CREATE TABLE marks (
    stream      text     NOT NULL,                -- immutable: a run id, a model id, or 'catalog'
    session     text     NOT NULL,                -- immutable
    high_seq    bigint   NOT NULL,                -- mutable: the highest seq applied; -1 before the first
    missing     int8multirange NOT NULL DEFAULT '{}',  -- mutable: seqs below high_seq that have not come
    declared    jsonb    NOT NULL DEFAULT '[]',   -- mutable: [{"first_seq", "count", "kind", "reason"}] of ranges that will not come
    ended       text,                             -- mutable: 'ended' or 'lost'; null while the session may write
    end_reason  text,                             -- mutable: why, in words
    clean       boolean,                          -- mutable: false where the session's machine found damage
    last_time   bigint,                           -- mutable: the broker's clock at the session's last record that is not about sessions
    PRIMARY KEY (stream, session),
    CHECK (high_seq >= -1 AND ended IN ('ended', 'lost'))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);  -- as latest_metrics, below

-- Records that could not be applied, byte for byte.
CREATE TABLE dead_letters (
    topic      text    NOT NULL,                  -- immutable
    partition  integer NOT NULL,                  -- immutable
    "offset"   bigint  NOT NULL,                  -- immutable
    reason     text    NOT NULL,                  -- immutable: for a person: what was found, what was expected
    stream     text,                              -- immutable: as the headers or key say, where readable
    session    text,                              -- immutable: likewise
    first_seq  bigint,                            -- immutable: likewise
    n          bigint,                            -- immutable: likewise
    key        bytea,                             -- immutable: the record's key
    value      bytea,                             -- immutable: the record's value
    headers    jsonb   NOT NULL DEFAULT '[]',     -- immutable: [[name, base64 of the value], …]
    at         timestamptz NOT NULL DEFAULT now(),-- immutable: the server's clock
    PRIMARY KEY (topic, partition, "offset")
);

-- The installation this ledger belongs to: one row, from the first record of the catalog.
CREATE TABLE installation (
    single           boolean PRIMARY KEY DEFAULT true CHECK (single),
    installation_id  text    NOT NULL,            -- immutable
    partitions       integer NOT NULL,            -- immutable: of the events topic at its creation; streams are hashed by it for ever
    creation_time    bigint  NOT NULL,            -- immutable
    CHECK (partitions > 0)
);

-- Experiments, from the catalog. A run may name one that is not here (yet): it is joined when reading.
CREATE TABLE experiments (
    experiment_id    bigint PRIMARY KEY,          -- immutable: a hash of the name it was created under
    name             text   NOT NULL UNIQUE DEFERRABLE INITIALLY IMMEDIATE,  -- mutable: by a rename; checked after each statement, so that one may swap names
    created_as       text   NOT NULL,             -- immutable: the name it was created under; its id is the nth hash of it
    lifecycle_stage  text   NOT NULL DEFAULT 'active',  -- mutable
    creation_time    bigint NOT NULL,             -- immutable
    last_update_time bigint NOT NULL,             -- mutable
    artifact_location text  NOT NULL DEFAULT '',  -- immutable: where its creator wants the artifacts; empty: in the installation's store
    CHECK (experiment_id >= 0 AND length(name) BETWEEN 1 AND 500),
    CHECK (lifecycle_stage IN ('active', 'deleted'))
);
-- The one that runs go to by default is there from the start; installation_created gives it its times.
INSERT INTO experiments (experiment_id, name, created_as, creation_time, last_update_time)
VALUES (0, 'Default', 'Default', 0, 0);

CREATE TABLE experiment_tags (
    experiment_id  bigint NOT NULL,               -- immutable
    key            text   NOT NULL,               -- immutable
    value          text   NOT NULL,               -- mutable: the last one wins
    PRIMARY KEY (experiment_id, key)
);

-- What became of a request in the catalog that somebody waits for: short-lived, no part of what a run is.
-- Kept for the newest 10,000 offsets of the catalog.
CREATE TABLE verdicts (
    request   text    PRIMARY KEY,                -- immutable: the id that the event carried
    "offset"  bigint  NOT NULL,                   -- immutable: of the catalog's record that carried it
    accepted  boolean NOT NULL,                   -- immutable
    code      text    NOT NULL,                   -- immutable: '' where accepted, else why not: see docs/read-model.md
    answer    jsonb   NOT NULL,                   -- immutable: facts at that point of the catalog: {"experiment_id", "name", "lifecycle_stage"} or {"version"}
    CHECK (accepted = (code = '')),
    CHECK (code IN ('', 'exists', 'missing', 'deleted', 'active', 'missing_version', 'missing_tag'))
);
CREATE INDEX verdicts_by_offset ON verdicts ("offset");

-- The model registry, from the catalog: names, and numbered versions under them.
CREATE TABLE registered_models (
    name             text   PRIMARY KEY,          -- mutable: by a rename, which carries all of its rows along
    description      text   NOT NULL,             -- mutable
    creation_time    bigint NOT NULL,             -- immutable
    last_update_time bigint NOT NULL,             -- mutable: by a rename or description, and by versions that come, go or change their stage
    last_version     bigint NOT NULL DEFAULT 0,   -- mutable: the greatest number given out; numbers are never used again
    CHECK (length(name) > 0 AND last_version >= 0)
);
CREATE INDEX registered_models_by_prefix ON registered_models (name text_pattern_ops);

CREATE TABLE registered_model_tags (
    name   text NOT NULL REFERENCES registered_models ON UPDATE CASCADE ON DELETE CASCADE,
    key    text NOT NULL,                         -- immutable
    value  text NOT NULL,                         -- mutable: the last one wins
    PRIMARY KEY (name, key)
);

-- Deleted versions stay as rows, with what MLflow keeps of them: the number and the tags.
CREATE TABLE model_versions (
    name             text   NOT NULL REFERENCES registered_models ON UPDATE CASCADE ON DELETE CASCADE,
    version          bigint NOT NULL,             -- immutable: dense from 1, in the catalog's order
    source           text   NOT NULL,             -- immutable: URI of the model's files; '' once deleted, as are the next five
    run_id           text   NOT NULL,             -- immutable: the run that made it, '' for none
    run_link         text   NOT NULL,             -- immutable: a page about that run in another server
    description      text   NOT NULL,             -- mutable
    model_id         text   NOT NULL,             -- immutable: the logged model it is a version of, '' for none
    user_name        text   NOT NULL,             -- immutable: who registered it
    current_stage    text   NOT NULL DEFAULT 'None',    -- mutable
    status           text   NOT NULL DEFAULT 'READY',   -- immutable: whether it can be used
    creation_time    bigint NOT NULL,             -- immutable
    last_update_time bigint NOT NULL,             -- mutable
    lifecycle_stage  text   NOT NULL DEFAULT 'active',  -- mutable: deleted once and for ever
    storage_location text   NOT NULL DEFAULT '',  -- immutable: where its files lie, if that is another place than source; '' once deleted
    PRIMARY KEY (name, version),
    CHECK (version > 0 AND status = 'READY'),
    CHECK (current_stage IN ('None', 'Staging', 'Production', 'Archived')),
    CHECK (lifecycle_stage IN ('active', 'deleted'))
);
CREATE INDEX model_versions_by_run ON model_versions (run_id) WHERE run_id <> '';
CREATE INDEX model_versions_by_model ON model_versions (model_id) WHERE model_id <> '';

CREATE TABLE model_version_tags (
    name     text   NOT NULL,
    version  bigint NOT NULL,                     -- immutable
    key      text   NOT NULL,                     -- immutable
    value    text   NOT NULL,                     -- mutable: the last one wins
    PRIMARY KEY (name, version, key),
    FOREIGN KEY (name, version) REFERENCES model_versions ON UPDATE CASCADE ON DELETE CASCADE
);

-- Names that point to one version each; those of a version that is deleted go with it.
CREATE TABLE registered_model_aliases (
    name     text   NOT NULL,
    alias    text   NOT NULL,                     -- immutable
    version  bigint NOT NULL,                     -- mutable: the last one wins
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES model_versions ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX registered_model_aliases_by_version ON registered_model_aliases (name, version);

-- Runs. Any event of a run makes its row; run_started fills it, so everything but the id may be unknown.
CREATE TABLE runs (
    run_id           text   PRIMARY KEY,          -- immutable
    experiment_id    bigint,                      -- immutable after the first run_started
    experiment_name  text,                        -- immutable after the first run_started: the name the client knew
    name             text,                        -- mutable: run_started of a new attempt, run_renamed
    status           text   NOT NULL DEFAULT 'RUNNING',  -- mutable: see docs/read-model.md
    status_reason    text,                        -- mutable: why it is FAILED or KILLED
    lifecycle_stage  text   NOT NULL DEFAULT 'active',   -- mutable
    start_time       bigint,                      -- immutable after the first run_started
    end_time         bigint,                      -- mutable: null while an attempt is open
    user_name        text,                        -- mutable: of the latest attempt
    parent_run_id    text,                        -- immutable after the first run_started
    context          jsonb  NOT NULL DEFAULT '{}',-- mutable: host, rank, source, git_commit, …; merged over the attempts
    attempt          integer NOT NULL DEFAULT 0,  -- mutable: how many run_started there were
    owner_session    text,                        -- mutable: the session of the latest run_started, whose death ends the run
    ended_by         text,                        -- mutable: 'run_ended' (explicit), 'session_ended', 'session_lost'; null while running
    topic_partition  integer NOT NULL,            -- immutable: the partition of runstone.events that holds the run
    last_offset      bigint NOT NULL,             -- mutable: offset of the last record applied to this run
    CHECK (status IN ('SCHEDULED', 'RUNNING', 'FINISHED', 'FAILED', 'KILLED')),
    CHECK (lifecycle_stage IN ('active', 'deleted')),
    CHECK (ended_by IN ('run_ended', 'session_ended', 'session_lost'))
) WITH (fillfactor = 80);  -- last_offset moves with every record, and stays within its page (HOT)
CREATE INDEX runs_by_start ON runs (start_time DESC NULLS LAST, run_id);
CREATE INDEX runs_by_experiment ON runs (experiment_id, start_time DESC NULLS LAST, run_id);
CREATE INDEX runs_by_parent ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_open ON runs (owner_session) WHERE ended_by IS NULL;
CREATE INDEX runs_lost ON runs (owner_session) WHERE ended_by = 'session_lost';

-- Params: the first value in topic order.
CREATE TABLE params (
    run_id  text   NOT NULL,                      -- immutable
    key     text   NOT NULL,                      -- immutable
    value   text   NOT NULL,                      -- immutable
    time    bigint NOT NULL,                      -- immutable
    PRIMARY KEY (run_id, key)
);
CREATE INDEX params_by_value ON params (key, left(value, 200), run_id);

-- Values that contradict the first one; kept, shown, never applied.
CREATE TABLE param_conflicts (
    run_id   text   NOT NULL,                     -- immutable
    key      text   NOT NULL,                     -- immutable
    value    text   NOT NULL,                     -- immutable
    session  text   NOT NULL,                     -- immutable: who said so first
    time     bigint NOT NULL                      -- immutable
);
CREATE UNIQUE INDEX param_conflicts_key ON param_conflicts (run_id, key, md5(value));

-- Tags: the last value in topic order.
CREATE TABLE tags (
    run_id  text   NOT NULL,                      -- immutable
    key     text   NOT NULL,                      -- immutable
    value   text   NOT NULL,                      -- mutable
    time    bigint NOT NULL,                      -- mutable
    PRIMARY KEY (run_id, key)
);
CREATE INDEX tags_by_value ON tags (key, left(value, 200), run_id);

-- Metric points in chunks: the points of one series that one transaction brought, in topic order.
-- The empty string stands for "no model", "no dataset". The multiset of a series is all its chunks, these and
-- those in merged_chunks, where the worker moves them in the background. So this table is a queue: every row is
-- deleted soon. Its vacuum is due after so many rows, however large the table is, since a share of a table that
-- has grown in a backlog would be long in coming, and never because of rows that were only inserted.
CREATE TABLE metric_chunks (
    run_id          text     NOT NULL,            -- immutable
    key             text     NOT NULL,            -- immutable
    model_id        text     NOT NULL,            -- immutable
    dataset_name    text     NOT NULL,            -- immutable
    dataset_digest  text     NOT NULL,            -- immutable
    first_offset    bigint   NOT NULL,            -- immutable: offset of the record of its first point; chunks sort by it
    steps           bigint[] NOT NULL,            -- immutable, as are the next two; equal lengths, topic order
    times           bigint[] NOT NULL,
    vals            float8[] NOT NULL,            -- NaN and infinities as such
    CHECK (cardinality(steps) > 0 AND cardinality(steps) = cardinality(times) AND cardinality(steps) = cardinality(vals))
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_insert_threshold = -1, toast.autovacuum_vacuum_scale_factor = 0,
        toast.autovacuum_vacuum_threshold = 10000, toast.autovacuum_vacuum_insert_threshold = -1);
CREATE INDEX metric_chunks_by_series ON metric_chunks (run_id, key, first_offset);
-- Not compressed: most rows are merged before long, and compressing them here was the bottleneck of ingest.
ALTER TABLE metric_chunks ALTER steps SET STORAGE EXTERNAL, ALTER times SET STORAGE EXTERNAL,
    ALTER vals SET STORAGE EXTERNAL;

-- The same points later on, some thousand a row (docs/adr/0006-merged-chunks.md). The step of the point at place
-- p = 1 … points is first_step + step_stride * (p - 1) + narrow_steps[p]: steps and times grow so evenly that what
-- is left is small numbers, which compress well. Where it does not fit into an integer, the steps themselves are
-- in wide_steps instead; likewise with times. Read it through the views below.
CREATE TABLE merged_chunks (
    run_id          text     NOT NULL,            -- immutable, as is everything: a row is replaced by a longer one
    key             text     NOT NULL,
    model_id        text     NOT NULL,
    dataset_name    text     NOT NULL,
    dataset_digest  text     NOT NULL,
    first_offset    bigint   NOT NULL,            -- of the first chunk that went in
    last_offset     bigint   NOT NULL,            -- first_offset of the last chunk that went in
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

-- All chunks, in one form; the one place that knows that there are two tables. Programs read the sent_… columns,
-- arrays as Postgres sends them (runstone_store.chunk_arrays makes numbers of them); what is not asked for is not
-- computed. Topic order within a series is the order of first_offset.
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

-- All points as rows, for whatever is asked in SQL. place: from 1 on, within the chunk.
CREATE VIEW metric_points AS
SELECT c.run_id, c.key, c.model_id, c.dataset_name, c.dataset_digest, c.first_offset, p.place,
       coalesce(c.first_step + c.step_stride * (p.place - 1) + p.narrow_step, p.wide_step) AS step,
       coalesce(c.first_time + c.time_stride * (p.place - 1) + p.narrow_time, p.wide_time) AS time,
       p.value
FROM stored_chunks c
CROSS JOIN LATERAL unnest(c.narrow_steps, c.wide_steps, c.narrow_times, c.wide_times, c.vals)
    WITH ORDINALITY AS p (narrow_step, wide_step, narrow_time, wide_time, value, place);

-- The latest value of each series: maximal by (step, time, value), NaN lowest. What changes is not indexed,
-- so that its updates stay within their page (HOT) at any rate: half of a page is left free for them, and old
-- versions are cleared away by the next update there, without a vacuum. What a long read held back meanwhile has
-- left the page; a vacuum after a twentieth of the rows (not a fifth) keeps that small.
CREATE TABLE latest_metrics (
    run_id          text   NOT NULL,              -- immutable
    key             text   NOT NULL,              -- immutable
    model_id        text   NOT NULL,              -- immutable
    dataset_name    text   NOT NULL,              -- immutable
    dataset_digest  text   NOT NULL,              -- immutable
    step            bigint NOT NULL,              -- mutable, as are the next three
    time            bigint NOT NULL,
    value           float8 NOT NULL,
    points          bigint NOT NULL,              -- how many points the series has
    PRIMARY KEY (run_id, key, model_id, dataset_name, dataset_digest),
    CHECK (points > 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
-- The metrics of a logged model. Its columns never change, so updates still stay within their page.
CREATE INDEX latest_metrics_by_model ON latest_metrics (model_id, key) WHERE model_id <> '';

-- A copy of latest_metrics that can be searched and sorted by value (per run and key the latest over all
-- models and datasets); refreshed when a run ends and every few seconds. Readers take the live value of
-- running runs from latest_metrics.
CREATE TABLE ranked_metrics (
    run_id  text   NOT NULL,                      -- immutable
    key     text   NOT NULL,                      -- immutable
    value   float8 NOT NULL,                      -- mutable
    PRIMARY KEY (run_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);  -- each refresh leaves a dead row and index entries
CREATE INDEX ranked_metrics_by_value ON ranked_metrics (key, value, run_id);

-- Artifact pointers: the last one of each path.
CREATE TABLE artifacts (
    run_id      text   NOT NULL,                  -- immutable
    path        text   NOT NULL,                  -- immutable: relative, with forward slashes
    uri         text   NOT NULL,                  -- mutable: where the file lies
    size        bigint NOT NULL,                  -- mutable: bytes
    sha256      text   NOT NULL,                  -- mutable: 64 hexadecimal digits
    media_type  text   NOT NULL,                  -- mutable
    time        bigint NOT NULL,                  -- mutable
    PRIMARY KEY (run_id, path),
    CHECK (size >= 0)
);

-- Datasets and models a run read, models it wrote.
CREATE TABLE dataset_inputs (
    run_id       text   NOT NULL,                 -- immutable
    name         text   NOT NULL,                 -- immutable
    digest       text   NOT NULL,                 -- immutable
    source_type  text   NOT NULL,                 -- mutable, as are the others: the last event wins
    source       text   NOT NULL,
    schema       text   NOT NULL,
    profile      text   NOT NULL,
    tags         jsonb  NOT NULL,
    time         bigint NOT NULL,
    stored       jsonb  NOT NULL DEFAULT '{}',    -- fields too large for an event -> SHA-256 of the text in the artifact store
    PRIMARY KEY (run_id, name, digest)
);
CREATE INDEX dataset_inputs_by_name ON dataset_inputs (name, digest);
CREATE TABLE model_inputs (
    run_id    text   NOT NULL,                    -- immutable
    model_id  text   NOT NULL,                    -- immutable
    time      bigint NOT NULL,                    -- immutable
    PRIMARY KEY (run_id, model_id)
);
CREATE TABLE model_outputs (
    run_id    text   NOT NULL,                    -- immutable
    model_id  text   NOT NULL,                    -- immutable
    step      bigint NOT NULL,                    -- immutable
    time      bigint NOT NULL,                    -- immutable
    PRIMARY KEY (run_id, model_id, step)
);

-- Logged models. Their stream is their source run, or themselves.
CREATE TABLE logged_models (
    model_id         text   NOT NULL,             -- immutable
    stream           text   NOT NULL,             -- immutable: the stream that writes this row
    experiment_id    bigint,                      -- immutable after model_created
    name             text,                        -- immutable after model_created
    model_type       text   NOT NULL DEFAULT '',  -- immutable after model_created
    source_run_id    text   NOT NULL DEFAULT '',  -- immutable after model_created
    status           text   NOT NULL DEFAULT 'PENDING',  -- mutable
    lifecycle_stage  text   NOT NULL DEFAULT 'active',   -- mutable
    params           jsonb  NOT NULL DEFAULT '{}',-- mutable: the first value of a key wins
    tags             jsonb  NOT NULL DEFAULT '{}',-- mutable
    creation_time    bigint,                      -- immutable after model_created
    last_update_time bigint,                      -- mutable
    PRIMARY KEY (stream, model_id),
    CHECK (status IN ('PENDING', 'READY', 'FAILED')),
    CHECK (lifecycle_stage IN ('active', 'deleted'))
);
CREATE INDEX logged_models_by_id ON logged_models (model_id);
CREATE INDEX logged_models_by_experiment ON logged_models (experiment_id, creation_time DESC NULLS LAST, model_id);
CREATE INDEX logged_models_by_run ON logged_models (source_run_id) WHERE source_run_id <> '';

-- Pointers to the files of logged models: the last one of each path.
CREATE TABLE model_artifacts (
    stream      text   NOT NULL,                  -- immutable: the stream that writes the model
    model_id    text   NOT NULL,                  -- immutable
    path        text   NOT NULL,                  -- immutable: relative to the model, with forward slashes
    uri         text   NOT NULL,                  -- mutable: where the file lies
    size        bigint NOT NULL,                  -- mutable: bytes
    sha256      text   NOT NULL,                  -- mutable: 64 hexadecimal digits
    media_type  text   NOT NULL,                  -- mutable
    time        bigint NOT NULL,                  -- mutable
    PRIMARY KEY (stream, model_id, path),
    CHECK (size >= 0)
);
