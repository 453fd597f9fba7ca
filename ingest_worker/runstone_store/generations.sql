-- Which read models there are, and which one people read.

-- name: live
-- Which generation is live?
SELECT generation FROM runstone_meta.live;

-- name: listed
-- Which generations are there, what became of each, and which one is live?
SELECT g.generation, g.state, g.until, g.rate, g.asked, g.created_at, g.state_at,
       l.generation IS NOT NULL AS is_live
FROM runstone_meta.generations g LEFT JOIN runstone_meta.live l USING (generation)
WHERE $1::text IS NULL OR g.generation = $1
ORDER BY g.created_at, g.generation;
