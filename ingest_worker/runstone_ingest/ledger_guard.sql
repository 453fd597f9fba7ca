-- What a worker finds wrong with the topics.

-- name: forget_findings
-- What is not found any more.
DELETE FROM ledger_findings WHERE NOT finding = ANY ($1::text[]);

-- name: save_findings
-- What is found; what was found before keeps its time.
INSERT INTO ledger_findings (finding) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING;
