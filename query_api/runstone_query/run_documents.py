"""Runs as the API shows them: rows of many tables put together, a page at a time.

`load` asks one statement per table whatever the page's length; the rest is pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from runstone.events.artifact_paths import location
from runstone.events.artifact_roots import ArtifactRoot, uri_below
from runstone.events.encoding import value_to_json
from runstone.events.seq_ranges import without
from runstone_query.problems import not_found
from runstone_query.snapshot import Snapshot
from runstone_store import named_sql

_BLOCKS: Final = named_sql.load(__file__, "run_documents.sql")

CONTEXT_FIELDS: Final = (
    "user", "host", "rank", "source", "git_commit", "git_dirty", "command", "python", "packages",
)  # fmt: skip
"""Always there, null where unknown; whatever else the client told stands beside them."""

STALE_MS: Final = 5 * 60_000
"""How long nothing must have been heard of a running run for it to be called stale."""

Row = Mapping[str, Any]
Document = dict[str, Any]


async def load(
    snapshot: Snapshot, run_ids: Sequence[str], artifact_root: ArtifactRoot | None
) -> list[Document]:
    """The documents of those of *run_ids* that exist, in their order."""
    found = {row["run_id"]: row for row in await snapshot.rows(_BLOCKS["runs"], run_ids, STALE_MS)}
    params = _by_run(await snapshot.rows(_BLOCKS["params"], run_ids))
    tags = _by_run(await snapshot.rows(_BLOCKS["tags"], run_ids))
    metrics = _by_run(await snapshot.rows(_BLOCKS["metrics"], run_ids))
    conflicts: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for row in await snapshot.rows(_BLOCKS["param_conflicts"], run_ids):
        conflicts[row["run_id"]].setdefault(row["key"], []).append(row["value"])
    datasets: defaultdict[str, list[Document]] = defaultdict(list)
    for row in await snapshot.rows(_BLOCKS["datasets"], run_ids):
        datasets[row["run_id"]].append({member: row[member] for member in ("name", "digest", "context")})
    marks: defaultdict[str, list[Row]] = defaultdict(list)
    for row in await snapshot.rows(_BLOCKS["marks"], run_ids):
        marks[row["stream"]].append(row)
    dead = {row["stream"]: row["dead"] for row in await snapshot.rows(_BLOCKS["dead_letters"], run_ids)}
    return [
        {
            **head(found[run_id]),
            "artifact_uri": artifact_uri(artifact_root, found[run_id]["experiment_id"], run_id),
            "params": params[run_id],
            "metrics": {key: value_to_json(value) for key, value in metrics[run_id].items()},
            "tags": tags[run_id],
            "context": context(found[run_id]),
            "param_conflicts": conflicts[run_id],
            "datasets": datasets[run_id],
            "completeness": completeness(marks[run_id], dead.get(run_id, 0)),
        }
        for run_id in run_ids
        if run_id in found
    ]


async def require(snapshot: Snapshot, run_id: str) -> None:
    """Raise the 404 problem unless there is a run *run_id*."""
    if await snapshot.row(_BLOCKS["exists"], run_id) is None:
        raise not_found("run", run_id)


def _by_run(rows: Iterable[Row]) -> defaultdict[str, dict[str, Any]]:
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        found[row["run_id"]][row["key"]] = row["value"]
    return found


def head(row: Row) -> Document:
    """What a run is called, whose it is, how it stands, when it ran and was last heard of (times in ms)."""
    return {
        "run_id": row["run_id"],
        "experiment_id": row["experiment_id"],
        "experiment_name": row["experiment_name"],
        "name": row["name"],
        "status": row["status"],
        "status_reason": row["status_reason"],
        "lifecycle_stage": row["lifecycle_stage"],
        "start_time": row["start_time"],
        "end_time": row["end_time"],
        "user": row["user_name"],
        "parent_run_id": row["parent_run_id"],
        "last_heard_at": row["last_heard_at"],
        "stale": row["stale"],
    }


def context(row: Row) -> Document:
    """Where and from what the run ran, as its client found it."""
    known: Document = {**dict.fromkeys(CONTEXT_FIELDS), **row["context"]}
    return known | {"user": row["user_name"] or known["user"]}


def artifact_uri(root: ArtifactRoot | None, experiment_id: int | None, run_id: str) -> str | None:
    """The URI of the folder that holds the run's artifacts; null while the experiment is unknown."""
    if root is None or experiment_id is None:
        return None
    return uri_below(root, location(experiment_id, run_id).as_posix())


def completeness(marks: Sequence[Row], dead_letters: int) -> Document:
    """Whether everything that any session appended to the run is here, and where it is not, what is missing.

    A gap is a range of seqs that has not come and that nobody has declared lost. Complete means: no gap, no
    dead letter, no declared loss, and no session whose machine found damage.
    """
    sessions = [
        {
            "session": mark["session"],
            "first_seq": 0,
            "last_seq": mark["high_seq"],
            # Postgres keeps ranges half-open
            "missing": [[gap.lower, gap.upper - 1] for gap in mark["missing"]],
            "declared": mark["declared"],
            "ended": mark["ended"],
            "end_reason": mark["end_reason"],
            "clean": mark["clean"],
        }
        for mark in marks
    ]
    gaps = sum(
        len(
            without(
                ((gap.lower, gap.upper) for gap in mark["missing"]),
                ((lost["first_seq"], lost["first_seq"] + lost["count"]) for lost in mark["declared"]),
            )
        )
        for mark in marks
    )
    damaged = any(session["declared"] or session["clean"] is False for session in sessions)
    return {
        "complete": not gaps and not dead_letters and not damaged,
        "gaps": gaps,
        "dead_letters": dead_letters,
        "sessions": sessions,
    }
