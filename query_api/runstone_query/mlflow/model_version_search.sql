-- The pieces that a search for model versions is put together from; see search/runs.sql.

-- name: search
-- Which versions meet the conditions, in order? Deleted ones never do.
SELECT {columns}
FROM {schema}.model_versions v
{joins}
WHERE v.lifecycle_stage = 'active' AND {conditions}
ORDER BY {order}
LIMIT {limit}

-- name: identity
-- What a search answers first.
v.name, v.version

-- name: if
-- Is there anything to be found at all?
{value}::boolean

-- name: attribute_name
-- The name of its registered model, which sorts by its characters.
(v.name COLLATE "C")

-- name: attribute_version_number
-- Its number.
v.version

-- name: attribute_run_id
-- The run that made it; empty for none.
v.run_id

-- name: attribute_source_path
-- The URI of its files.
v.source

-- name: attribute_creation_timestamp
-- When it was registered, ms.
v.creation_time

-- name: attribute_last_updated_timestamp
-- When it last changed, ms.
v.last_update_time

-- name: tag_compared
-- Does the version have this tag with a value that compares so?
EXISTS (SELECT FROM {schema}.model_version_tags t
        WHERE t.name = v.name AND t.version = v.version AND t.key = {key}::text AND t.value {operator} {value})
