-- name: partitions
-- Where does ingest stand in each partition of these topics?
SELECT topic, partition, next_offset, records, duplicates, dead,
       (extract(epoch FROM updated_at) * 1000)::bigint AS updated_at
FROM {schema}.ingest_partitions WHERE topic = ANY($1::text[]) ORDER BY topic, partition

-- name: halts
-- Of which partitions is nothing more applied, and why?
SELECT topic, partition, kind, reason, (extract(epoch FROM at) * 1000)::bigint AS since
FROM {schema}.halts ORDER BY topic, partition

-- name: findings
-- What is wrong with the topics' settings?
SELECT finding FROM {schema}.ledger_findings ORDER BY finding

-- name: installation
-- Which installation does the read model belong to?
SELECT installation_id, partitions FROM {schema}.installation
