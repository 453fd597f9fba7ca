-- What MLflow's clients need: the model registry, verdicts, files of models. Frozen: schema.sql says what the
-- columns mean.

ALTER TABLE experiments ADD artifact_location text NOT NULL DEFAULT '';

ALTER TABLE dataset_inputs ADD stored jsonb NOT NULL DEFAULT '{}';
CREATE INDEX dataset_inputs_by_name ON dataset_inputs (name, digest);

CREATE INDEX latest_metrics_by_model ON latest_metrics (model_id, key) WHERE model_id <> '';

CREATE INDEX logged_models_by_id ON logged_models (model_id);
CREATE INDEX logged_models_by_experiment ON logged_models (experiment_id, creation_time DESC NULLS LAST, model_id);
CREATE INDEX logged_models_by_run ON logged_models (source_run_id) WHERE source_run_id <> '';

CREATE TABLE verdicts (
    request   text    PRIMARY KEY,
    "offset"  bigint  NOT NULL,
    accepted  boolean NOT NULL,
    code      text    NOT NULL,
    answer    jsonb   NOT NULL,
    CHECK (accepted = (code = '')),
    CHECK (code IN ('', 'exists', 'missing', 'deleted', 'active', 'missing_version', 'missing_tag'))
);
CREATE INDEX verdicts_by_offset ON verdicts ("offset");

CREATE TABLE registered_models (
    name             text   PRIMARY KEY,
    description      text   NOT NULL,
    creation_time    bigint NOT NULL,
    last_update_time bigint NOT NULL,
    last_version     bigint NOT NULL DEFAULT 0,
    CHECK (length(name) > 0 AND last_version >= 0)
);
CREATE INDEX registered_models_by_prefix ON registered_models (name text_pattern_ops);

CREATE TABLE registered_model_tags (
    name   text NOT NULL REFERENCES registered_models ON UPDATE CASCADE ON DELETE CASCADE,
    key    text NOT NULL,
    value  text NOT NULL,
    PRIMARY KEY (name, key)
);

CREATE TABLE model_versions (
    name             text   NOT NULL REFERENCES registered_models ON UPDATE CASCADE ON DELETE CASCADE,
    version          bigint NOT NULL,
    source           text   NOT NULL,
    run_id           text   NOT NULL,
    run_link         text   NOT NULL,
    description      text   NOT NULL,
    model_id         text   NOT NULL,
    user_name        text   NOT NULL,
    current_stage    text   NOT NULL DEFAULT 'None',
    status           text   NOT NULL DEFAULT 'READY',
    creation_time    bigint NOT NULL,
    last_update_time bigint NOT NULL,
    lifecycle_stage  text   NOT NULL DEFAULT 'active',
    storage_location text   NOT NULL DEFAULT '',
    PRIMARY KEY (name, version),
    CHECK (version > 0 AND status = 'READY'),
    CHECK (current_stage IN ('None', 'Staging', 'Production', 'Archived')),
    CHECK (lifecycle_stage IN ('active', 'deleted'))
);
CREATE INDEX model_versions_by_run ON model_versions (run_id) WHERE run_id <> '';
CREATE INDEX model_versions_by_model ON model_versions (model_id) WHERE model_id <> '';

CREATE TABLE model_version_tags (
    name     text   NOT NULL,
    version  bigint NOT NULL,
    key      text   NOT NULL,
    value    text   NOT NULL,
    PRIMARY KEY (name, version, key),
    FOREIGN KEY (name, version) REFERENCES model_versions ON UPDATE CASCADE ON DELETE CASCADE
);

CREATE TABLE registered_model_aliases (
    name     text   NOT NULL,
    alias    text   NOT NULL,
    version  bigint NOT NULL,
    PRIMARY KEY (name, alias),
    FOREIGN KEY (name, version) REFERENCES model_versions ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX registered_model_aliases_by_version ON registered_model_aliases (name, version);

CREATE TABLE model_artifacts (
    stream      text   NOT NULL,
    model_id    text   NOT NULL,
    path        text   NOT NULL,
    uri         text   NOT NULL,
    size        bigint NOT NULL,
    sha256      text   NOT NULL,
    media_type  text   NOT NULL,
    time        bigint NOT NULL,
    PRIMARY KEY (stream, model_id, path),
    CHECK (size >= 0)
);
