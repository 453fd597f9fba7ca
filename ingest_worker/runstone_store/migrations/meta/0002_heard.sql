-- Which sessions a sender has said to have in its care, and when it last did. Not made from the ledger: the
-- worker that has the catalog's partition writes it from the topic of heartbeats, which is kept for days only.
CREATE TABLE runstone_meta.heard (
    session   text   PRIMARY KEY,                          -- immutable; empty: any heartbeat at all, a gateway's included
    heard_at  bigint NOT NULL                              -- mutable: ms, the broker's clock at the last heartbeat
) WITH (fillfactor = 70);
