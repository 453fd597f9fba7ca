-- The model registry, for pages of registered models and of versions: a statement each for the whole page.

-- name: models
-- What is known of these registered models themselves?
SELECT name, description, creation_time, last_update_time
FROM {schema}.registered_models WHERE name = ANY($1::text[])

-- name: model_tags
-- The tags of these registered models.
SELECT name, key, value FROM {schema}.registered_model_tags WHERE name = ANY($1::text[]) ORDER BY name, key

-- name: aliases
-- The aliases of these registered models, and the versions that they point to.
SELECT name, alias, version FROM {schema}.registered_model_aliases
WHERE name = ANY($1::text[]) ORDER BY name, alias

-- name: latest_versions
-- The latest version in each stage of these registered models; a stage comes where its first version came.
SELECT name, version
FROM (SELECT name, version, min(version) OVER (PARTITION BY name, current_stage) AS first_version,
             row_number() OVER (PARTITION BY name, current_stage ORDER BY version DESC) AS place
      FROM {schema}.model_versions WHERE name = ANY($1::text[]) AND lifecycle_stage = 'active') placed
WHERE place = 1 ORDER BY name, first_version

-- name: versions
-- What is known of these versions, deleted ones left out?
SELECT v.name, v.version, v.source, v.storage_location, v.run_id, v.run_link, v.description, v.user_name,
       v.current_stage, v.status, v.creation_time, v.last_update_time
FROM unnest($1::text[], $2::bigint[]) wanted (name, version)
JOIN {schema}.model_versions v ON v.name = wanted.name AND v.version = wanted.version
WHERE v.lifecycle_stage = 'active'

-- name: version_tags
-- The tags of these versions.
SELECT t.name, t.version, t.key, t.value
FROM unnest($1::text[], $2::bigint[]) wanted (name, version)
JOIN {schema}.model_version_tags t ON t.name = wanted.name AND t.version = wanted.version
ORDER BY t.name, t.version, t.key

-- name: alias
-- Which version does an alias point to?
SELECT version FROM {schema}.registered_model_aliases WHERE name = $1::text AND alias = $2::text
