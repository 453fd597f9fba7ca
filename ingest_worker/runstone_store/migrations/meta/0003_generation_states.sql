-- What becomes of each generation: see "Generations" in docs/read-model.md.
ALTER TABLE runstone_meta.generations
    ADD COLUMN state    text NOT NULL DEFAULT 'building',      -- mutable: building, ready, live, retired, frozen or dropping
    ADD COLUMN until    jsonb,                                 -- immutable: {"topic": {"partition": next offset}} beyond which it never goes; null: it follows the topics
    ADD COLUMN rate     double precision,                      -- immutable: records a second while it is building; null: as fast as it can
    ADD COLUMN asked    text NOT NULL DEFAULT '',              -- immutable: what "until" was made from, for people
    ADD COLUMN state_at timestamptz NOT NULL DEFAULT now(),    -- mutable: the server's clock when the state changed last
    ADD CHECK (state IN ('building', 'ready', 'live', 'retired', 'frozen', 'dropping')),
    ADD CHECK (state <> 'frozen' OR until IS NOT NULL),
    ADD CHECK (until IS NULL OR state IN ('building', 'frozen', 'dropping')),
    ADD CHECK (rate > 0);
UPDATE runstone_meta.generations g
SET state = CASE WHEN EXISTS (SELECT FROM runstone_meta.live l WHERE l.generation = g.generation)
                 THEN 'live' ELSE 'retired' END;
CREATE UNIQUE INDEX generations_one_live ON runstone_meta.generations (state) WHERE state = 'live';
-- The number of the next generation. Numbers are never used again: page tokens and caches carry the names.
CREATE SEQUENCE runstone_meta.generation_number START 2;
