-- The pieces that a search for runs is put together from. {schema} is the generation's schema; the other names
-- in braces are placeholders ($1, …), operators from a closed list, or other pieces: never a user's text.

-- name: search
-- Which runs meet the conditions, in order, with the columns they are ordered by?
SELECT {columns}
FROM {schema}.runs r
{joins}
WHERE {conditions}
ORDER BY {order}
LIMIT {limit}

-- name: identity
-- What a search answers first.
r.run_id

-- name: in_experiments
-- Does the run belong to one of these experiments?
r.experiment_id = ANY({value}::bigint[])

-- name: in_lifecycle_stage
-- Is the run active, or deleted?
r.lifecycle_stage = {value}::text

-- name: attribute_run_id
-- The run's id.
r.run_id

-- name: attribute_run_name
-- The run's name; null until run_started has come.
r.name

-- name: attribute_status
-- The run's status.
r.status

-- name: attribute_user
-- Who ran it.
r.user_name

-- name: attribute_parent_run_id
-- The run it is a child of; null for most.
nullif(r.parent_run_id, '')

-- name: attribute_start_time
-- When its first attempt started, ms.
r.start_time

-- name: attribute_end_time
-- When its latest attempt ended, ms; null while it runs.
r.end_time

-- name: param_equals
-- Does the run have this param with this value? By the index over the first 200 characters.
EXISTS (SELECT FROM {schema}.params p WHERE p.run_id = r.run_id AND p.key = {key}::text
        AND left(p.value, 200) = left({value}, 200) AND p.value = {value})

-- name: param_compared
-- Does the run have this param with a value that compares so?
EXISTS (SELECT FROM {schema}.params p WHERE p.run_id = r.run_id AND p.key = {key}::text
        AND p.value {operator} {value})

-- name: param_present
-- Does the run have this param at all?
EXISTS (SELECT FROM {schema}.params p WHERE p.run_id = r.run_id AND p.key = {key}::text)

-- name: tag_equals
-- Does the run have this tag with this value? By the index over the first 200 characters.
EXISTS (SELECT FROM {schema}.tags t WHERE t.run_id = r.run_id AND t.key = {key}::text
        AND left(t.value, 200) = left({value}, 200) AND t.value = {value})

-- name: tag_compared
-- Does the run have this tag with a value that compares so?
EXISTS (SELECT FROM {schema}.tags t WHERE t.run_id = r.run_id AND t.key = {key}::text
        AND t.value {operator} {value})

-- name: tag_present
-- Does the run have this tag at all?
EXISTS (SELECT FROM {schema}.tags t WHERE t.run_id = r.run_id AND t.key = {key}::text)

-- name: metric_compared
-- Does the latest value of this metric compare so? NaN satisfies != alone; Postgres would call it the greatest.
-- The ranked copy, which has an index over values, is exact for a run that does not run.
((r.status NOT IN ('RUNNING', 'SCHEDULED') AND r.run_id IN (
     SELECT m.run_id FROM {schema}.ranked_metrics m
     WHERE m.key = {key}::text AND m.value {operator} {value} AND ({nan} OR m.value <> 'NaN')))
 OR (r.status IN ('RUNNING', 'SCHEDULED') AND EXISTS (
     SELECT FROM (
         SELECT m.value FROM {schema}.latest_metrics m
         WHERE m.run_id = r.run_id AND m.key = {key}::text
         ORDER BY m.step DESC, m.time DESC, m.value = 'NaN', m.value DESC LIMIT 1) latest
     WHERE latest.value {operator} {value} AND ({nan} OR latest.value <> 'NaN'))))

-- name: metric_joined
-- The latest value of a metric, to sort by: the ranked copy's, and of a run that runs the live one.
LEFT JOIN {schema}.ranked_metrics {alias} ON {alias}.run_id = r.run_id AND {alias}.key = {key}::text
LEFT JOIN LATERAL (
    SELECT m.value FROM {schema}.latest_metrics m
    WHERE r.status IN ('RUNNING', 'SCHEDULED') AND m.run_id = r.run_id AND m.key = {key}::text
    ORDER BY m.step DESC, m.time DESC, m.value = 'NaN', m.value DESC LIMIT 1) {alias}_live ON true

-- name: metric_value
-- What a joined metric sorts by.
(CASE WHEN r.status IN ('RUNNING', 'SCHEDULED') THEN {alias}_live.value ELSE {alias}.value END)

-- name: param_joined
-- The value of a param, to sort by.
LEFT JOIN {schema}.params {alias} ON {alias}.run_id = r.run_id AND {alias}.key = {key}::text

-- name: param_value
-- What a joined param sorts by.
{alias}.value

-- name: tag_joined
-- The value of a tag, to sort by.
LEFT JOIN {schema}.tags {alias} ON {alias}.run_id = r.run_id AND {alias}.key = {key}::text

-- name: tag_value
-- What a joined tag sorts by.
{alias}.value

-- name: dataset_name
-- The name of a dataset that the run read.
d.name

-- name: dataset_digest
-- The digest of a dataset that the run read.
d.digest

-- name: dataset_context
-- What a dataset was read for, such as training; null where it was not said.
d.tags ->> 'mlflow.data.context'

-- name: dataset_compared
-- Has the run read a dataset that compares so?
EXISTS (SELECT FROM {schema}.dataset_inputs d WHERE d.run_id = r.run_id AND {column} {operator} {value})
