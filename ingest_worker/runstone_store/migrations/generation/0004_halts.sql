-- Partitions that halt, what is wrong with the topics, and how far bad records are accepted. Frozen: schema.sql
-- says what it means.

ALTER TABLE ingest_partitions ADD dead_accepted_until bigint NOT NULL DEFAULT 0;
CREATE TABLE halts (
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    kind       text        NOT NULL,
    reason     text        NOT NULL,
    version    text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition),
    FOREIGN KEY (topic, partition) REFERENCES ingest_partitions,
    CHECK (kind IN ('lost', 'rewritten', 'recreated', 'poison'))
);
CREATE TABLE ledger_findings (
    finding  text        PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now()
);
