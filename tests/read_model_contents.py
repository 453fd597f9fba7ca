"""What a generation holds, in a form in which two of them can be compared."""

from typing import Any

from tests.publishing import Database

_QUERIES = {
    "runs": "SELECT * FROM runs ORDER BY run_id",
    "params": "SELECT * FROM params ORDER BY run_id, key",
    "param_conflicts": "SELECT * FROM param_conflicts ORDER BY run_id, key, value",
    "tags": "SELECT * FROM tags ORDER BY run_id, key",
    "points": "SELECT run_id, key, step, time, value FROM runstone.metric_points ORDER BY run_id, key, first_offset, place",
    "latest": "SELECT * FROM latest_metrics ORDER BY run_id, key, model_id",
    "artifacts": "SELECT * FROM artifacts ORDER BY run_id, path",
    "logged_models": "SELECT * FROM logged_models ORDER BY stream, model_id",
    "experiments": "SELECT * FROM experiments ORDER BY experiment_id",
    "experiment_tags": "SELECT * FROM experiment_tags ORDER BY experiment_id, key",
    "registered_models": "SELECT * FROM registered_models ORDER BY name",
    "model_versions": "SELECT * FROM model_versions ORDER BY name, version",
    "aliases": "SELECT * FROM registered_model_aliases ORDER BY name, alias",
    "installation": "SELECT * FROM installation",
    "verdicts": "SELECT * FROM verdicts ORDER BY request",
    "marks": "SELECT stream, session, high_seq, missing::text, declared, ended, end_reason, clean, last_time FROM marks ORDER BY stream, session",
    "dead_letters": 'SELECT topic, partition, "offset", reason, stream, session, first_seq, n, value FROM dead_letters ORDER BY topic, partition, "offset"',
    "ingest": "SELECT topic, partition, next_offset, last_hash, records, duplicates, dead FROM ingest_partitions ORDER BY topic, partition",
}


async def contents(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every table that the ledger decides, by table; NaN as a word, so that it equals itself."""
    found = {name: await db.rows(query) for name, query in _QUERIES.items()}
    return {
        name: [tuple("NaN" if value != value else value for value in row) for row in rows]
        for name, rows in found.items()
    }
