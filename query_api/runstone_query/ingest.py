"""How far ingest is: each partition's next offset against the end that Kafka tells."""

from collections.abc import Mapping
from typing import Any, Final

from runstone_query.end_offsets import Ends
from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "ingest.sql")

_UNSEEN: Final = {"next_offset": 0, "records": 0, "duplicates": 0, "dead": 0, "updated_at": None}
"""A partition that no worker has had yet."""

Row = Mapping[str, Any]


async def read_partitions(snapshot: Snapshot, topics: Mapping[str, str]) -> list[Row]:
    """The rows of `report`."""
    return list(await snapshot.rows(_BLOCKS["partitions"], list(topics.values())))


async def read_installation(snapshot: Snapshot) -> Row | None:
    """The installation's id and number of partitions, once the catalog's first record has been applied."""
    return await snapshot.row(_BLOCKS["installation"])


def report(rows: list[Row], ends: Ends) -> dict[str, Any]:
    """Per partition how far ingest is, and the sum of what lies before it (null where Kafka is away).

    Offsets are not dense (a transaction's markers have some), so the lag counts offsets, at least as many as
    there are records.
    """
    known: dict[tuple[str, int], Mapping[str, Any]] = {(row["topic"], row["partition"]): row for row in rows}
    partitions = []
    for topic, partition in sorted({*known, *ends.offsets}):
        row = known.get((topic, partition), _UNSEEN)
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
        "lag_records": None if ends.reason else sum(lags),
        "lag_unknown_because": ends.reason,
    }
