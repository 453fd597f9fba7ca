-- name: verdict
-- How was this request to the catalog decided?
SELECT accepted, code, answer FROM {schema}.verdicts WHERE request = $1::text
