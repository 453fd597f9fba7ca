"""How far ingest is: each partition's next offset against the end that Kafka tells; and what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Alarms:
    """What somebody must decide or mend: partitions that halt, and settings of the topics."""

    halts: Mapping[Place, Row] = field(default_factory=dict)
    findings: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """One sentence each."""
        halted = [
            f"{topic}/{partition} halts: {row['reason']}; see 'runstone repair list'"
            for (topic, partition), row in self.halts.items()
        ]
        return [*halted, *self.findings]


async def read_alarms(snapshot: Snapshot) -> Alarms:
    """What is wrong with the ledger as the workers see it."""
    halts = await snapshot.rows(_BLOCKS["halts"])
    findings = await snapshot.rows(_BLOCKS["findings"])
    return Alarms(
        {(row["topic"], row["partition"]): row for row in halts}, tuple(row["finding"] for row in findings)
    )


async def read_installation(snapshot: Snapshot) -> Row | None:
    """The installation's id and number of partitions, once the catalog's first record has been applied."""
    return await snapshot.row(_BLOCKS["installation"])


def report(rows: Mapping[Place, Row], ends: Ends, alarms: Alarms) -> dict[str, Any]:
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
        halt = alarms.halts.get((topic, partition))
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
                "halted": halt and {name: halt[name] for name in ("kind", "reason", "since")},
            }
        )
    lags = [p["lag_records"] for p in partitions if p["lag_records"] is not None]
    return {
        "partitions": partitions,
        "lag_records": None if reason else sum(lags),
        "lag_unknown_because": reason,
        "alarms": alarms.words(),
    }
