-- Which read model people read.

-- name: live
-- Which generation is live?
SELECT generation FROM runstone_meta.live;
