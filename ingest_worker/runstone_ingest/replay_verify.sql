-- Which generation the statements of a comparison mean.

-- name: search_path
-- From now on, until the transaction ends, tables are those of this generation.
SELECT set_config('search_path', $1, true);
