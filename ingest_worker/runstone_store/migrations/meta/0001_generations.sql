-- Which generations of the read model there are, and which one people read.
CREATE TABLE runstone_meta.generations (
    generation  text PRIMARY KEY,                          -- immutable: the name of its schema
    created_at  timestamptz NOT NULL DEFAULT now()         -- immutable: the server's clock
);
CREATE TABLE runstone_meta.live (
    single      boolean PRIMARY KEY DEFAULT true CHECK (single),
    generation  text NOT NULL REFERENCES runstone_meta.generations  -- mutable: flipped together with the views
);
