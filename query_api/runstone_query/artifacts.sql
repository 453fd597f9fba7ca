-- name: children
-- What lies directly in a folder of a run ('' or 'folder/'): files, and folders with what is below them?
SELECT name, bool_or(folder) AS folder, count(*) AS files, sum(size)::bigint AS size, max(time) AS time,
       min(uri) AS uri, min(sha256) AS sha256, min(media_type) AS media_type
FROM (SELECT split_part(substr(path, length($2::text) + 1), '/', 1) AS name,
             strpos(substr(path, length($2::text) + 1), '/') > 0 AS folder, size, time, uri, sha256, media_type
      FROM {schema}.artifacts WHERE run_id = $1::text AND starts_with(path, $2::text)) below
GROUP BY name, folder ORDER BY folder DESC, name

-- name: all_below
-- Every file below a folder of a run ('' or 'folder/').
SELECT path, uri, size, sha256, media_type, time
FROM {schema}.artifacts WHERE run_id = $1::text AND starts_with(path, $2::text) ORDER BY path

-- name: pointer
-- The pointer of one file.
SELECT path, uri, size, sha256, media_type, time
FROM {schema}.artifacts WHERE run_id = $1::text AND path = $2::text
