"""A run as the server tells it: what ``get_run`` answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runstone.api_client import ReadApi
from runstone.texts import NOTE_TAG


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether everything that was logged to a run has arrived.

    Attributes:
        complete: nothing is missing, unreadable, declared lost or damaged.
        gaps: ranges of records that have not come (yet).
        dead_letters: records that could not be applied.
        sessions: for each process that wrote to the run what the API says, see ``docs/api.md``.
    """

    complete: bool
    gaps: int
    dead_letters: int
    sessions: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run as it could be read; a copy, which does not follow what happens afterwards.

    Times are integer milliseconds UTC. What may be None is so while the run's start has not arrived.

    Attributes:
        run_id: 32 hexadecimal digits.
        name: as shown to people.
        experiment_id: a number.
        experiment_name: as the experiment is called today.
        status: RUNNING, FINISHED, FAILED, KILLED or SCHEDULED.
        status_reason: why it failed; None where nobody said.
        lifecycle_stage: "active" or "deleted".
        start_time: of the latest attempt.
        end_time: None while it runs.
        user: who started it.
        parent_run_id: of a nested run; None for others.
        artifact_uri: the folder of its artifacts.
        params: texts, as the ledger holds them.
        metrics: the latest value of each key: of the highest step, then time, then value; NaN lowest.
        tags: texts.
        context: host, source, git commit, command, Python, packages; None where unknown.
        param_conflicts: values that contradict a param's first one.
        datasets: what it read: name, digest and context of each.
        completeness: whether everything has arrived.
        last_heard_at: when its machine was last heard of; None where the server does not tell.
        stale: it is RUNNING, and nothing was heard of it for some minutes.
    """

    run_id: str
    name: str | None
    experiment_id: int | None
    experiment_name: str | None
    status: str
    status_reason: str | None
    lifecycle_stage: str
    start_time: int | None
    end_time: int | None
    user: str | None
    parent_run_id: str | None
    artifact_uri: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    context: Mapping[str, Any] = field(repr=False)  # all packages
    param_conflicts: Mapping[str, list[str]]
    datasets: tuple[Mapping[str, str | None], ...]
    completeness: Completeness
    last_heard_at: int | None
    stale: bool

    @property
    def note(self) -> str:
        """The note that `Run.set_note` left; empty where there is none."""
        return self.tags.get(NOTE_TAG, "")


def read_run(uri: str, run_id: str) -> RunInfo:
    """The run *run_id* of the server at *uri*.

    Raises:
        NoSuchRunError: it knows none.
        ServerError: it does not answer.
    """
    return _from_document(ReadApi(uri).run(run_id))


def _from_document(found: Mapping[str, Any]) -> RunInfo:
    """The run in the read API's JSON."""
    said = found["completeness"]
    return RunInfo(
        run_id=found["run_id"],
        name=found["name"],
        experiment_id=found["experiment_id"],
        experiment_name=found["experiment_name"],
        status=found["status"],
        status_reason=found["status_reason"],
        lifecycle_stage=found["lifecycle_stage"],
        start_time=found["start_time"],
        end_time=found["end_time"],
        user=found["user"],
        parent_run_id=found["parent_run_id"],
        artifact_uri=found["artifact_uri"],
        params=found["params"],
        metrics={key: float(value) for key, value in found["metrics"].items()},
        tags=found["tags"],
        context=found["context"],
        param_conflicts=found["param_conflicts"],
        datasets=tuple(found["datasets"]),
        completeness=Completeness(
            said["complete"], said["gaps"], said["dead_letters"], tuple(said["sessions"])
        ),
        last_heard_at=found.get("last_heard_at"),  # a server of an earlier version does not tell these two
        stale=bool(found.get("stale")),
    )
