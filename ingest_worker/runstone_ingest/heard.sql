-- Which sessions were heard, and which have been silent for too long.

-- name: last_heard
-- Up to when has the table been fed? Null where it is empty.
SELECT heard_at FROM runstone_meta.heard WHERE session = '';

-- name: heard
-- When was each of these sessions last heard? The same heartbeats again change nothing.
INSERT INTO runstone_meta.heard AS old (session, heard_at)
SELECT session, heard_at FROM unnest($1::text[], $2::bigint[]) AS told (session, heard_at)
ON CONFLICT (session) DO UPDATE SET heard_at = excluded.heard_at
WHERE excluded.heard_at > old.heard_at;

-- name: forget
-- Sessions that own no open run and have been silent for so many ms: nobody asks for them any more.
DELETE FROM runstone_meta.heard h
WHERE h.heard_at < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1::bigint
  AND current_schema() = (SELECT generation FROM runstone_meta.live)
  AND NOT EXISTS (SELECT FROM runs r WHERE r.owner_session = h.session AND r.ended_by IS NULL);

-- name: silent
-- Which sessions own a running run, were in a sender's care once, and have been silent for so many ms? Only
-- for the generation that people read: another one's worker sees the same sessions.
SELECT r.run_id, r.owner_session
FROM runs r
JOIN runstone_meta.heard h ON h.session = r.owner_session
JOIN marks m ON m.stream = r.run_id AND m.session = r.owner_session
WHERE r.ended_by IS NULL AND r.status = 'RUNNING' AND m.ended IS NULL
  AND greatest(h.heard_at, m.last_time)
      < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1::bigint
  AND current_schema() = (SELECT generation FROM runstone_meta.live)
ORDER BY r.run_id LIMIT 1000;

-- name: found
-- Which sessions that were given up were heard within so many ms after all? Likewise.
SELECT r.run_id, r.owner_session
FROM runs r
JOIN runstone_meta.heard h ON h.session = r.owner_session
JOIN marks m ON m.stream = r.run_id AND m.session = r.owner_session
WHERE r.ended_by = 'session_lost' AND m.ended = 'lost'
  AND h.heard_at >= (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $1::bigint
  AND current_schema() = (SELECT generation FROM runstone_meta.live)
ORDER BY r.run_id LIMIT 1000;

-- name: behind
-- Which of these partitions of the topic have not been applied up to these offsets?
SELECT ends.partition FROM unnest($2::int[], $3::bigint[]) AS ends (partition, next_offset)
LEFT JOIN ingest_partitions p ON p.topic = $1 AND p.partition = ends.partition
WHERE ends.next_offset > coalesce(p.next_offset, 0);
