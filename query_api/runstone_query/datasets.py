"""Datasets that runs read, as the native API tells them."""

from typing import Any, Final, NamedTuple

from runstone_query.mlflow.run_documents import LargeField
from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "datasets.sql")

_MEMBERS: Final = ("name", "digest", "context", "time", "source_type", "source", "schema", "profile", "tags")


class Datasets(NamedTuple):
    """Those of a run, and which of their texts are still to be read from the artifact store."""

    documents: list[dict[str, Any]]
    large: list[LargeField]


async def of_run(snapshot: Snapshot, run_id: str) -> Datasets:
    """The datasets of a run in the order in which they were logged."""
    found = Datasets([], [])
    for row in await snapshot.rows(_BLOCKS["of_run"], run_id):
        found.documents.append({member: row[member] for member in _MEMBERS})
        for field, sha256 in row["stored"].items():
            found.large.append(LargeField(found.documents[-1], field, row["experiment_id"], run_id, sha256))
    return found
