-- name: verdict
-- How was this request to the catalog, the record at this place, decided, or why could it not be?
SELECT accepted, code, answer FROM {schema}.verdicts WHERE request = $1::text
UNION ALL
SELECT false, 'dead_letter', jsonb_build_object('reason', reason) FROM {schema}.dead_letters
WHERE topic = $2::text AND partition = 0 AND "offset" = $3::bigint
