"""The rules of a run: its status, its facts, and what became of the sessions that write to it.

Status, as a fold in topic order: ``run_started`` makes it RUNNING and its session the owner. An explicit
``run_ended`` decides whoever publishes it. Without one, the end of the owning session decides; the loss of
the owning session makes it FAILED until the session is found, or any later record of its own revokes that.
What happens to another session only marks that session; one that joined a run says itself when it leaves it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from runstone.events import types
from runstone_ingest.marks import Mark
from runstone_ingest.projector.rows import Changes, Param, Run

LOST: Final = "session lost"

_OPEN: Final = ("RUNNING", "SCHEDULED")


def revoke_loss(run: Run | None, session: str, mark: Mark) -> bool:
    """A session that was given up is heard again: it never was lost. True where the run's row changed."""
    mark.ended = mark.end_reason = None
    if run is None or run.owner_session != session or run.ended_by != "session_lost":
        return False
    run.status, run.status_reason, run.end_time, run.ended_by = "RUNNING", None, None, None
    return True


def begin(mark: Mark) -> None:
    """A session that starts, resumes or joins the run writes to it, also where it had left it before."""
    mark.ended = mark.end_reason = mark.clean = None


def _started(run: Run, session: str, event: types.RunStarted) -> None:
    if run.attempt == 0:
        run.experiment_id, run.experiment_name = event.experiment_id, event.experiment_name
        run.parent_run_id = event.parent_run_id or None
        run.start_time = event.time
    run.attempt += 1
    run.name = event.name or run.name  # a resumed run comes without one and keeps its own
    run.user_name = event.user or None
    run.context = {**run.context, **event.context}
    run.owner_session = session
    run.status, run.status_reason, run.end_time, run.ended_by = "RUNNING", None, None, None


def _joined(run: Run, _session: str, event: types.RunJoined) -> None:
    run.context = {**event.context, **run.context}


def _context(run: Run, session: str, event: types.RunContext) -> None:
    # what a joined rank says of itself never covers what the owner said
    owner = run.owner_session in {None, session}
    run.context = {**run.context, **event.context} if owner else {**event.context, **run.context}


def _ended(run: Run, _session: str, event: types.RunEnded) -> None:
    run.status, run.status_reason = event.status, event.reason or None
    is_open = event.status in _OPEN
    run.end_time, run.ended_by = (None, None) if is_open else (event.time, "run_ended")


def _renamed(run: Run, _session: str, event: types.RunRenamed) -> None:
    run.name = event.name


def _deleted(run: Run, _session: str, _event: types.RunDeleted) -> None:
    run.lifecycle_stage = "deleted"


def _restored(run: Run, _session: str, _event: types.RunRestored) -> None:
    run.lifecycle_stage = "active"


ON_THE_RUN: Final[Mapping[type, Callable[[Run, str, Any], None]]] = {
    types.RunStarted: _started,
    types.RunJoined: _joined,
    types.RunContext: _context,
    types.RunEnded: _ended,
    types.RunRenamed: _renamed,
    types.RunDeleted: _deleted,
    types.RunRestored: _restored,
}
"""Rules that change the run's own row: (row, session of the event, event)."""


def _param(changes: Changes, run_id: str, session: str, event: types.Param) -> None:
    values = changes.params.setdefault((run_id, event.key), [])
    if not any(known.value == event.value for known in values):
        values.append(Param(event.value, session, event.time))


def _tag(changes: Changes, run_id: str, _session: str, event: types.Tag) -> None:
    changes.tags[run_id, event.key] = event


def _tag_deleted(changes: Changes, run_id: str, _session: str, event: types.TagDeleted) -> None:
    changes.tags[run_id, event.key] = None


def _artifact(changes: Changes, run_id: str, _session: str, event: types.Artifact) -> None:
    changes.artifacts[run_id, event.path] = event


def _artifact_deleted(changes: Changes, run_id: str, _session: str, event: types.ArtifactDeleted) -> None:
    changes.deleted_artifacts.add((run_id, event.path))
    gone = [key for key in changes.artifacts if key[0] == run_id and is_within(event.path, key[1])]
    for key in gone:
        del changes.artifacts[key]


def is_within(folder: str, path: str) -> bool:
    """Whether *path* is *folder* or lies below it; the empty one is the run's whole tree."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def _dataset_input(changes: Changes, run_id: str, _session: str, event: types.DatasetInput) -> None:
    changes.dataset_inputs[run_id, event.name, event.digest] = event


def _model_input(changes: Changes, run_id: str, _session: str, event: types.ModelInput) -> None:
    changes.model_inputs.setdefault((run_id, event.model_id), event.time)


def _model_output(changes: Changes, run_id: str, _session: str, event: types.ModelOutput) -> None:
    changes.model_outputs.setdefault((run_id, event.model_id, event.step), event.time)


BESIDE_THE_RUN: Final[Mapping[type, Callable[[Changes, str, str, Any], None]]] = {
    types.Param: _param,
    types.Tag: _tag,
    types.TagDeleted: _tag_deleted,
    types.Artifact: _artifact,
    types.ArtifactDeleted: _artifact_deleted,
    types.DatasetInput: _dataset_input,
    types.ModelInput: _model_input,
    types.ModelOutput: _model_output,
}
"""Rules that change rows which hang on the run: (changes, run id, session of the event, event)."""


def _session_ended(run: Run | None, mark: Mark, event: types.SessionEnded) -> bool:
    mark.ended, mark.end_reason, mark.clean = "ended", event.reason or None, event.clean
    if run is None or run.owner_session != event.session or run.ended_by in {"run_ended", "session_ended"}:
        return False
    run.status, run.status_reason = event.status, event.reason or None
    run.end_time, run.ended_by = event.time, "session_ended"
    return True


def _session_lost(run: Run | None, mark: Mark, event: types.SessionLost) -> bool:
    if mark.ended is not None:
        return False
    mark.ended, mark.end_reason = "lost", LOST
    if run is None or run.owner_session != event.session or run.ended_by is not None:
        return False
    run.status, run.status_reason = "FAILED", LOST
    run.end_time, run.ended_by = event.time, "session_lost"
    return True


def _session_found(run: Run | None, mark: Mark, event: types.SessionFound) -> bool:
    return mark.ended == "lost" and revoke_loss(run, event.session, mark)


def _range_declared(_run: Run | None, mark: Mark, event: types.RangeDeclared) -> bool:
    mark.leave_out(event.first_seq + event.count)
    said = {
        "first_seq": event.first_seq,
        "count": event.count,
        "kind": event.kind,
        "reason": event.reason,
    }
    if said not in mark.declared:  # a sender that was killed says it again, in a session of its own
        mark.declared.append(said)
    return False


ON_A_SESSION: Final[Mapping[type, Callable[[Run | None, Mark, Any], bool]]] = {
    types.SessionEnded: _session_ended,
    types.SessionLost: _session_lost,
    types.SessionFound: _session_found,
    types.RangeDeclared: _range_declared,
}
"""Rules about the session that an event names: (run's row if any, that session's mark, event) -> whether the
run's row changed. They make no row for a run, because a logged model's own stream has sessions as well."""
