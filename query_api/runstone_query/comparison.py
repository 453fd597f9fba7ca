"""Runs side by side: which params they agree in, which they differ in, and their metrics."""

from collections.abc import Sequence
from typing import Any, Final

from runstone_query.run_documents import Document

_HEAD: Final = (
    "run_id", "experiment_id", "experiment_name", "name", "status", "status_reason", "lifecycle_stage",
    "start_time", "end_time", "user", "parent_run_id", "artifact_uri", "last_heard_at", "stale",
)  # fmt: skip


def compare(documents: Sequence[Document]) -> Document:
    """The comparison of runs, as `runstone_query.run_documents.load` gives them.

    A param agrees when every run has it with the same value. Where runs differ, or metrics are shown, a run
    that has none of that key has null there.
    """
    params = _side_by_side(documents, "params")
    agree = {key: next(iter(row.values())) for key, row in params.items() if len(set(row.values())) == 1}
    return {
        "runs": [{name: document[name] for name in _HEAD} for document in documents],
        "params": {"differ": {key: row for key, row in params.items() if key not in agree}, "agree": agree},
        "metrics": _side_by_side(documents, "metrics"),
    }


def _side_by_side(documents: Sequence[Document], table: str) -> dict[str, dict[str, Any]]:
    keys = sorted({key for document in documents for key in document[table]})
    return {key: {document["run_id"]: document[table].get(key) for document in documents} for key in keys}
