-- The pieces that a search for registered models is put together from; see search/runs.sql.

-- name: search
-- Which registered models meet the conditions, in order?
SELECT {columns}
FROM {schema}.registered_models m
{joins}
WHERE {conditions}
ORDER BY {order}
LIMIT {limit}

-- name: identity
-- What a search answers first.
m.name

-- name: if
-- Is there anything to be found at all?
{value}::boolean

-- name: attribute_name
-- The model's name, which sorts by its characters.
(m.name COLLATE "C")

-- name: attribute_last_updated_timestamp
-- When it, or one of its versions, last changed, ms.
m.last_update_time

-- name: tag_compared
-- Does the model have this tag with a value that compares so?
EXISTS (SELECT FROM {schema}.registered_model_tags t
        WHERE t.name = m.name AND t.key = {key}::text AND t.value {operator} {value})
