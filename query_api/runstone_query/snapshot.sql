-- name: answers
-- Can a row of the generation be read?
SELECT count(*) FROM (SELECT FROM {schema}.runs LIMIT 1) one
