"""Registered models and their versions as MLflow's JSON has them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "registry.sql")

Document = dict[str, Any]
Row = Mapping[str, Any]
Version = tuple[str, int]
"""The name of a registered model, and the number of a version of it."""


async def registered_models(snapshot: Snapshot, names: Sequence[str]) -> list[Document]:
    """Those of *names* that there are, in that order, each with the latest version of each stage."""
    rows = {row["name"]: row for row in await snapshot.rows(_BLOCKS["models"], names)}
    tags, aliases, latest = defaultdict(list), defaultdict(list), defaultdict(list)
    for row in await snapshot.rows(_BLOCKS["model_tags"], names):
        tags[row["name"]].append({"key": row["key"], "value": row["value"]})
    for row in await snapshot.rows(_BLOCKS["aliases"], names):
        aliases[row["name"]].append({"alias": row["alias"], "version": str(row["version"])})
    for version in await model_versions(snapshot, await latest_versions(snapshot, names)):
        latest[version["name"]].append(version)
    return [
        _without_empty(
            {
                **_head(rows[name]),
                "latest_versions": latest[name],
                "tags": tags[name],
                "aliases": aliases[name],
            }
        )
        for name in names
        if name in rows
    ]


async def latest_versions(snapshot: Snapshot, names: Sequence[str]) -> list[Version]:
    """The latest version in each stage of these registered models."""
    return [(row["name"], row["version"]) for row in await snapshot.rows(_BLOCKS["latest_versions"], names)]


async def model_versions(snapshot: Snapshot, wanted: Sequence[Version]) -> list[Document]:
    """Those of *wanted* that there are, in the order of *wanted*; without aliases, as MLflow lists them."""
    columns = [name for name, _ in wanted], [version for _, version in wanted]
    rows = {(row["name"], row["version"]): row for row in await snapshot.rows(_BLOCKS["versions"], *columns)}
    tags = defaultdict(list)
    for row in await snapshot.rows(_BLOCKS["version_tags"], *columns):
        tags[row["name"], row["version"]].append({"key": row["key"], "value": row["value"]})
    return [_version(rows[version], tags[version]) for version in wanted if version in rows]


async def with_aliases(snapshot: Snapshot, versions: Sequence[Document]) -> list[Document]:
    """*versions*, each with the aliases that point to it."""
    aliases = defaultdict(list)
    for row in await snapshot.rows(_BLOCKS["aliases"], list({version["name"] for version in versions})):
        aliases[row["name"], str(row["version"])].append(row["alias"])
    return [
        _without_empty({**version, "aliases": aliases[version["name"], version["version"]]})
        for version in versions
    ]


async def version_of_alias(snapshot: Snapshot, name: str, alias: str) -> int | None:
    """The version of the registered model *name* that *alias* points to."""
    row = await snapshot.row(_BLOCKS["alias"], name, alias)
    return None if row is None else int(row["version"])


async def download_uri(snapshot: Snapshot, version: Version) -> str | None:
    """Where the files of a version lie; null where there is no such version."""
    row = await snapshot.row(_BLOCKS["versions"], [version[0]], [version[1]])
    return None if row is None else str(row["storage_location"] or row["source"])


def _head(row: Row) -> Document:
    found = {
        "name": row["name"],
        "creation_timestamp": row["creation_time"],
        "last_updated_timestamp": row["last_update_time"],
    }
    return found | ({"description": row["description"]} if row["description"] else {})


def _version(row: Row, tags: list[Document]) -> Document:
    found = {
        "name": row["name"],
        "version": str(row["version"]),
        "creation_timestamp": row["creation_time"],
        "last_updated_timestamp": row["last_update_time"],
        "current_stage": row["current_stage"],
        "description": row["description"],
        "source": row["source"],
        "run_id": row["run_id"],
        "status": row["status"],
        "run_link": row["run_link"],
        "tags": tags,
    }
    return _without_empty(found | ({"user_id": row["user_name"]} if row["user_name"] else {}))


def _without_empty(document: Document) -> Document:
    """MLflow's JSON leaves empty lists out."""
    return {name: value for name, value in document.items() if value != []}
