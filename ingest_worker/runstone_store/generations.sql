-- Which read model people read.

-- name: is_migrated
-- Is this a database of Runstone at all?
SELECT to_regclass('runstone_meta.live') IS NOT NULL;

-- name: live
-- Which generation is live?
SELECT generation FROM runstone_meta.live;
