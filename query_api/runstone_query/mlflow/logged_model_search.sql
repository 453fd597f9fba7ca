-- The pieces that a search for logged models is put together from; see search/runs.sql. {dataset_names} and
-- {dataset_digests} are lists of equal length: a metric counts where it was measured on one of them, whose
-- digest may be empty for any; both are null where it counts on whatever it was measured.

-- name: search
-- Which active logged models meet the conditions, in order?
SELECT {columns}
FROM {schema}.logged_models m LEFT JOIN {schema}.experiments e USING (experiment_id)
{joins}
WHERE m.lifecycle_stage = 'active' AND {conditions}
ORDER BY {order}
LIMIT {limit}

-- name: identity
-- What a search answers first.
m.model_id

-- name: in_experiments
-- Does the model belong to one of these experiments?
m.experiment_id = ANY({value}::bigint[])

-- name: measured_on
-- Was any metric of the model measured on one of the datasets, where that is asked? ({value} is true.)
({value}::boolean AND ({dataset_names}::text[] IS NULL OR EXISTS (
    SELECT FROM {schema}.latest_metrics l
    JOIN unnest({dataset_names}::text[], {dataset_digests}::text[]) d (name, digest)
      ON d.name = l.dataset_name AND d.digest IN ('', l.dataset_digest)
    WHERE l.model_id = m.model_id AND l.model_id <> '')))

-- name: attribute_name
-- The model's name, which sorts by its characters.
(m.name COLLATE "C")

-- name: attribute_model_id
-- The model's id.
m.model_id

-- name: attribute_model_type
-- What kind of model it is.
m.model_type

-- name: attribute_source_run_id
-- The run that logged it; empty for none.
m.source_run_id

-- name: attribute_experiment_id
-- The experiment it belongs to.
m.experiment_id

-- name: attribute_status
-- Whether its files are there.
m.status

-- name: attribute_lifecycle_stage
-- Active, as all that a search finds.
m.lifecycle_stage

-- name: attribute_artifact_location
-- Where its files lie.
(coalesce(nullif(rtrim(e.artifact_location, '/'), ''), 'mlflow-artifacts:/' || m.experiment_id)
 || '/models/' || m.model_id || '/artifacts')

-- name: attribute_creation_timestamp
-- When it was logged, ms.
m.creation_time

-- name: attribute_last_updated_timestamp
-- When it last changed, ms.
m.last_update_time

-- name: param_compared
-- Does the model have this param with a value that compares so?
(m.params ->> {key}::text {operator} {value})

-- name: tag_compared
-- Does the model have this tag with a value that compares so?
(m.tags ->> {key}::text {operator} {value})

-- name: metric_compared
-- Does any point of this metric of the model, on one of the datasets, compare so? NaN satisfies != alone.
EXISTS (
    SELECT FROM {schema}.latest_metrics l
    WHERE l.model_id = m.model_id AND l.model_id <> '' AND l.key = {key}::text
      AND ({dataset_names}::text[] IS NULL OR EXISTS (
          SELECT FROM unnest({dataset_names}::text[], {dataset_digests}::text[]) d (name, digest)
          WHERE d.name = l.dataset_name AND d.digest IN ('', l.dataset_digest)))
      AND ((l.value {operator} {value} AND ({nan} OR l.value <> 'NaN'))
           OR (l.points > 1 AND EXISTS (
               SELECT FROM {schema}.stored_chunks c, unnest(c.vals) p (value)
               WHERE c.run_id = l.run_id AND c.key = l.key AND c.model_id = l.model_id
                 AND c.dataset_name = l.dataset_name AND c.dataset_digest = l.dataset_digest
                 AND p.value {operator} {value} AND ({nan} OR p.value <> 'NaN')))))

-- name: metric_joined
-- The metric that the model sorts by, the newest of all its series' points. The key is JSON here: the metric's
-- key, and the name and digest of the dataset that alone counts, empty for any.
LEFT JOIN LATERAL (
    SELECT p.value FROM (
        SELECT l.time, l.step, l.run_id, l.value FROM {schema}.latest_metrics l
        WHERE l.model_id = m.model_id AND l.model_id <> '' AND l.points = 1
          AND l.key = {key}::text::json ->> 0
          AND {key}::text::json ->> 1 IN ('', l.dataset_name)
          AND {key}::text::json ->> 2 IN ('', l.dataset_digest)
        UNION ALL
        SELECT u.time, u.step, u.run_id, u.value
        FROM {schema}.latest_metrics l
        JOIN {schema}.metric_points u
          ON u.run_id = l.run_id AND u.key = l.key AND u.model_id = l.model_id
         AND u.dataset_name = l.dataset_name AND u.dataset_digest = l.dataset_digest
        WHERE l.model_id = m.model_id AND l.model_id <> '' AND l.points > 1
          AND l.key = {key}::text::json ->> 0
          AND {key}::text::json ->> 1 IN ('', l.dataset_name)
          AND {key}::text::json ->> 2 IN ('', l.dataset_digest)) p
    ORDER BY p.time DESC, p.step DESC, p.run_id LIMIT 1) {alias} ON true

-- name: metric_value
-- What a joined metric sorts by.
{alias}.value
