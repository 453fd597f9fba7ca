"""How far ingest is: each partition's next offset against the end that Kafka tells."""

from collections.abc import Mapping
from typing import Any, Final

from runstone_query.end_offsets import Ends, Place
from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "ingest.sql")

_UNSEEN: Final = {"next_offset": 0, "records": 0, "duplicates": 0, "dead": 0, "updated_at": None}
"""A partition that no worker has had yet."""

Row = Mapping[str, Any]


async def read_partitions(snapshot: Snapshot, topics: Mapping[str, str]) -> dict[Place, Row]:
    """Every partition of *topics* (by role) that there is, those included that no worker has had yet.

    How many the events topic has is what was recorded when it was made; before that record has come, only
    the partitions are known that a worker has.
    """
    installation = await read_installation(snapshot)
    found: dict[Place, Row] = {}
    if installation is not None:
        found = {(topics["events"], n): _UNSEEN for n in range(installation["partitions"])}
        found[topics["catalog"], 0] = _UNSEEN
    rows = await snapshot.rows(_BLOCKS["partitions"], list(topics.values()))
    return found | {(row["topic"], row["partition"]): row for row in rows}


async def read_installation(snapshot: Snapshot) -> Row | None:
    """The installation's id and number of partitions, once the catalog's first record has been applied."""
    return await snapshot.row(_BLOCKS["installation"])


def report(rows: Mapping[Place, Row], ends: Ends) -> dict[str, Any]:
    """Per partition how far ingest is, and the sum of what lies before it (null where Kafka is away).

    Offsets are not dense (a transaction's markers have some), so the lag counts offsets, at least as many as
    there are records.
    """
    reason = ends.reason
    if not rows:
        reason = "the read model knows no partitions yet: no worker has begun"
    partitions = []
    for (topic, partition), row in sorted(rows.items(), key=lambda item: item[0]):
        end = ends.offsets.get((topic, partition))
        partitions.append(
            {
                "topic": topic,
                "partition": partition,
                "next_offset": row["next_offset"],
                "end_offset": end,
                "lag_records": None if end is None else max(0, end - row["next_offset"]),
                "dead_letters": row["dead"],
                "records": row["records"],
                "duplicates": row["duplicates"],
                "updated_at": row["updated_at"],
            }
        )
    lags = [p["lag_records"] for p in partitions if p["lag_records"] is not None]
    return {
        "partitions": partitions,
        "lag_records": None if reason else sum(lags),
        "lag_unknown_because": reason,
    }
