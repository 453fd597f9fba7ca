-- The pieces that a search for experiments is put together from.

-- name: search
-- Which experiments meet the conditions, in order, with the columns they are ordered by?
SELECT {columns}
FROM {schema}.experiments e
{joins}
WHERE {conditions}
ORDER BY {order}
LIMIT {limit}

-- name: identity
-- What a search answers first.
e.experiment_id

-- name: in_lifecycle_stage
-- Is the experiment active, or deleted?
e.lifecycle_stage = {value}::text

-- name: attribute_name
-- The experiment's name.
e.name

-- name: attribute_experiment_id
-- The experiment's id.
e.experiment_id

-- name: attribute_creation_time
-- When it was created, ms.
e.creation_time

-- name: attribute_last_update_time
-- When it was last changed, ms.
e.last_update_time

-- name: tag_compared
-- Does the experiment have this tag with a value that compares so?
EXISTS (SELECT FROM {schema}.experiment_tags t WHERE t.experiment_id = e.experiment_id AND t.key = {key}::text
        AND t.value {operator} {value})

-- name: tag_present
-- Does the experiment have this tag at all?
EXISTS (SELECT FROM {schema}.experiment_tags t WHERE t.experiment_id = e.experiment_id AND t.key = {key}::text)
