"""The rules of runs, of logged models, and of the sessions that write about them: one stream at a time."""

from dataclasses import asdict, dataclass, field
from typing import Any

from runstone.events import types
from runstone.events.types import SeriesKey
from runstone_ingest.plain_model.points import Entry, Point

Row = dict[str, Any]

_RUN: Row = {
    "experiment_id": None, "experiment_name": None, "name": None, "status": "RUNNING", "status_reason": None,
    "lifecycle_stage": "active", "start_time": None, "end_time": None, "user_name": None,
    "parent_run_id": None, "context": {}, "attempt": 0, "owner_session": None, "ended_by": None,
}  # fmt: skip
_MODEL: Row = {
    "experiment_id": None, "name": None, "model_type": "", "source_run_id": "", "status": "PENDING",
    "lifecycle_stage": "active", "params": {}, "tags": {}, "creation_time": None, "last_update_time": None,
}  # fmt: skip
_AGAIN: Row = {"status": "RUNNING", "status_reason": None, "end_time": None, "ended_by": None}


def _about_a_model(event: Any) -> bool:
    """Whether an event is of a logged model; what a run reads and writes of models is the run's."""
    return hasattr(event, "model_id") and not isinstance(event, types.ModelInput | types.ModelOutput)


@dataclass
class Session:
    """What one session has said in one stream, and what became of it."""

    seen: set[int] = field(default_factory=set)
    end: int = 0  # seqs below it are expected, whether they came or not
    declared: list[Row] = field(default_factory=list)
    ended: str | None = None
    end_reason: str | None = None
    clean: bool | None = None

    def expect(self, end: int) -> None:
        self.end = max(self.end, end)

    def row(self) -> Row:
        end = max(self.end, max(self.seen, default=-1) + 1)
        missing: list[tuple[int, int]] = []
        after = 0
        for seq in [*sorted(self.seen), end]:
            if after < seq:
                missing.append((after, seq))
            after = seq + 1
        return {
            "high_seq": end - 1, "missing": missing, "declared": self.declared, "ended": self.ended,
            "end_reason": self.end_reason, "clean": self.clean,
        }  # fmt: skip


class Stream:
    """Everything of one stream."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.run: Row | None = None
        self.sessions: dict[str, Session] = {}
        self.series: dict[tuple[str, SeriesKey], list[Entry]] = {}
        self.params: dict[str, tuple[str, int]] = {}
        self.conflicts: dict[tuple[str, str], tuple[str, int]] = {}
        self.tags: dict[str, tuple[str, int]] = {}
        self.artifacts: dict[str, Row] = {}
        self.datasets: dict[tuple[str, str], Row] = {}
        self.inputs: dict[str, int] = {}
        self.outputs: dict[tuple[str, int], int] = {}
        self.models: dict[str, Row] = {}
        self.model_artifacts: dict[tuple[str, str], Row] = {}

    def session(self, name: str) -> Session:
        return self.sessions.setdefault(name, Session())

    def apply(self, by: str, event: Any, partition: int, offset: int) -> None:
        """One new record that session *by* wrote."""
        me = self.session(by)
        if me.ended == "lost":
            self._revoke_loss(by, me)
        about_a_session = isinstance(
            event, types.SessionEnded | types.SessionLost | types.SessionFound | types.RangeDeclared
        )
        of_the_model_itself = _about_a_model(event) and event.model_id == self.name
        if self.run is None and not about_a_session and not of_the_model_itself:
            self.run = {**_RUN, "topic_partition": partition}
        if about_a_session:
            self._about_a_session(by, event)
        elif isinstance(event, Point):
            self.series.setdefault((self.name, event.key), []).append((event.step, event.time, event.value))
        elif isinstance(event, types.Series):
            entries = list(zip(event.steps, event.times, event.values, strict=True))
            if entries:
                self.series.setdefault((self.name, event.key), []).extend(entries)
        elif _about_a_model(event):
            self._about_a_model(event)
        else:
            assert self.run is not None
            self._about_the_run(self.run, by, me, event)
        if self.run is not None:
            self.run["last_offset"] = offset

    def _about_the_run(self, run: Row, by: str, me: Session, event: Any) -> None:
        match event:
            case types.RunStarted():
                me.ended = me.end_reason = me.clean = None
                if run["attempt"] == 0:
                    run |= {
                        "experiment_id": event.experiment_id, "experiment_name": event.experiment_name,
                        "parent_run_id": event.parent_run_id or None, "start_time": event.time,
                    }  # fmt: skip
                run |= {
                    "attempt": run["attempt"] + 1, "name": event.name or run["name"],
                    "user_name": event.user or None, "context": {**run["context"], **event.context},
                    "owner_session": by, **_AGAIN,
                }  # fmt: skip
            case types.RunJoined():
                me.ended = me.end_reason = me.clean = None
                run["context"] = {**event.context, **run["context"]}
            case types.RunContext():
                told, known = event.context, run["context"]
                its_own = run["owner_session"] in {None, by}
                run["context"] = {**known, **told} if its_own else {**told, **known}
            case types.RunEnded():
                run |= {"status": event.status, "status_reason": event.reason or None}
                open_ = event.status in {"RUNNING", "SCHEDULED"}
                run |= {
                    "end_time": None if open_ else event.time, "ended_by": None if open_ else "run_ended",
                }  # fmt: skip
            case types.RunRenamed():
                run["name"] = event.name
            case types.RunDeleted():
                run["lifecycle_stage"] = "deleted"
            case types.RunRestored():
                run["lifecycle_stage"] = "active"
            case types.Param():
                first, _time = self.params.setdefault(event.key, (event.value, event.time))
                if event.value != first:
                    self.conflicts.setdefault((event.key, event.value), (by, event.time))
            case types.Tag():
                self.tags[event.key] = event.value, event.time
            case types.TagDeleted():
                self.tags.pop(event.key, None)
            case types.Artifact():
                self.artifacts[event.path] = asdict(event)
            case types.ArtifactDeleted():
                folder = event.path
                self.artifacts = {
                    path: row
                    for path, row in self.artifacts.items()
                    if folder and path != folder and not path.startswith(folder + "/")
                }
            case types.DatasetInput():
                self.datasets[event.name, event.digest] = asdict(event)
            case types.ModelInput():
                self.inputs.setdefault(event.model_id, event.time)
            case types.ModelOutput():
                self.outputs.setdefault((event.model_id, event.step), event.time)
            case _:
                raise AssertionError(f"the plain model has no rule for {event.TYPE}")

    def _about_a_model(self, event: Any) -> None:
        if isinstance(event, types.ModelArtifact):
            self.model_artifacts[event.model_id, event.path] = asdict(event)
            return
        model = self.models.setdefault(event.model_id, dict(_MODEL))
        model["last_update_time"] = event.time
        match event:
            case types.ModelCreated():
                if model["creation_time"] is None:
                    model |= {
                        "experiment_id": event.experiment_id, "name": event.name,
                        "model_type": event.model_type, "source_run_id": event.source_run_id,
                        "creation_time": event.time,
                    }  # fmt: skip
                model["params"] = {**event.params, **model["params"]}
                model["tags"] = {**model["tags"], **event.tags}
            case types.ModelFinalized():
                model["status"] = event.status
            case types.ModelParams():
                model["params"] = {**event.params, **model["params"]}
            case types.ModelTags():
                model["tags"] = {**model["tags"], **event.tags}
            case types.ModelTagDeleted():
                model["tags"] = {key: value for key, value in model["tags"].items() if key != event.key}
            case types.ModelDeleted():
                model["lifecycle_stage"] = "deleted"
            case _:
                raise AssertionError(f"the plain model has no rule for {event.TYPE}")

    def _about_a_session(self, by: str, event: Any) -> None:
        if isinstance(event, types.SessionLost) and event.session == by:
            return  # who says so is heard
        its, run = self.session(event.session), self.run
        owns = run is not None and run["owner_session"] == event.session
        match event:
            case types.SessionEnded():
                its.ended, its.end_reason, its.clean = "ended", event.reason or None, event.clean
                decided = run is not None and run["ended_by"] in {"run_ended", "session_ended"}
                if run is not None and owns and not decided and by != event.session:
                    run |= {
                        "status": event.status, "status_reason": event.reason or None,
                        "end_time": event.time, "ended_by": "session_ended",
                    }  # fmt: skip
            case types.SessionLost():
                if its.ended is None:
                    its.ended, its.end_reason = "lost", "session lost"
                    if run is not None and owns and run["ended_by"] is None:
                        run |= {
                            "status": "FAILED", "status_reason": "session lost",
                            "end_time": event.time, "ended_by": "session_lost",
                        }  # fmt: skip
            case types.SessionFound():
                if its.ended == "lost":
                    self._revoke_loss(event.session, its)
            case types.RangeDeclared():
                its.expect(event.first_seq + event.count)
                said = {
                    "first_seq": event.first_seq, "count": event.count, "kind": event.kind,
                    "reason": event.reason,
                }  # fmt: skip
                if said not in its.declared:
                    its.declared.append(said)

    def _revoke_loss(self, name: str, session: Session) -> None:
        session.ended = session.end_reason = None
        if self.run and self.run["owner_session"] == name and self.run["ended_by"] == "session_lost":
            self.run |= _AGAIN

    def content(self) -> dict[str, dict[tuple[Any, ...], Any]]:
        """Every table but those of points."""
        name = self.name

        def without(row: Row, *keys: str) -> Row:
            return {column: value for column, value in row.items() if column not in keys}

        return {
            "runs": {(name,): self.run} if self.run else {},
            "params": {(name, key): row for key, row in self.params.items()},
            "param_conflicts": {(name, *key): row for key, row in self.conflicts.items()},
            "tags": {(name, key): row for key, row in self.tags.items()},
            "artifacts": {(name, path): without(row, "path") for path, row in self.artifacts.items()},
            "dataset_inputs": {
                (name, *key): without(row, "name", "digest") for key, row in self.datasets.items()
            },
            "model_inputs": {(name, model): time for model, time in self.inputs.items()},
            "model_outputs": {(name, *key): time for key, time in self.outputs.items()},
            "logged_models": {(name, model): row for model, row in self.models.items()},
            "model_artifacts": {
                (name, *key): without(row, "model_id", "path") for key, row in self.model_artifacts.items()
            },
            "marks": {(name, key): session.row() for key, session in self.sessions.items()},
        }
