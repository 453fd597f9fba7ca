-- When each session was last heard, for whoever must tell a silent one. Frozen: schema.sql says what it means.

ALTER TABLE marks ADD last_time bigint;
CREATE INDEX runs_open ON runs (owner_session) WHERE ended_by IS NULL;
CREATE INDEX runs_lost ON runs (owner_session) WHERE ended_by = 'session_lost';
