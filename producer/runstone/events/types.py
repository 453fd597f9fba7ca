"""Every event there is, and what its fields mean.

An event is a frozen dataclass, made by `event_class`; on the wire it is a JSON object whose ``type`` is the
class's ``TYPE`` and whose other members are the fields that differ from their default. Unknown members are
ignored, an unknown ``type`` is an error: a reader may skip what it does not need, never what it does not
understand.

Times are integer milliseconds UTC by the clock of the writer. Ids are 32 hexadecimal digits.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, NamedTuple

from runstone.events import limits
from runstone.events.event_class import event_class
from runstone.exceptions import MalformedEnvelopeError

Key = str
Text = str
Status = str
Time = int
Step = int
Count = int
ExperimentId = int
Json = Mapping[str, Any]
Tags = Mapping[str, str]

STATUSES: Final = ("SCHEDULED", "RUNNING", "FINISHED", "FAILED", "KILLED")


class SeriesKey(NamedTuple):
    """What a metric point belongs to: its key and, where it was measured for one, a model or dataset."""

    key: str
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


@event_class
class RunStarted:
    """A run begins, or a new attempt of it: the session that publishes this one owns the run's end."""

    TYPE: ClassVar = "run_started"
    experiment_id: ExperimentId
    experiment_name: Text
    name: Text
    time: Time
    user: Text = ""
    parent_run_id: Text = ""
    context: Json = dataclasses.field(default_factory=dict)


@event_class
class RunJoined:
    """Another session (a rank, a worker) writes to the run without owning its end."""

    TYPE: ClassVar = "run_joined"
    time: Time
    context: Json = dataclasses.field(default_factory=dict)


@event_class
class RunContext:
    """Facts that were too slow to gather when the run started (git, packages); merged into its context."""

    TYPE: ClassVar = "run_context"
    context: Json


@event_class
class RunEnded:
    """The run's owner ends it; ``status`` is FINISHED, FAILED or KILLED, or another explicit one."""

    TYPE: ClassVar = "run_ended"
    status: Status
    time: Time
    reason: Text = ""


@event_class
class RunRenamed:
    TYPE: ClassVar = "run_renamed"
    name: Text
    time: Time


@event_class
class RunDeleted:
    """A flag, not a removal: everything stays readable and ``run_restored`` lifts it."""

    TYPE: ClassVar = "run_deleted"
    time: Time


@event_class
class RunRestored:
    TYPE: ClassVar = "run_restored"
    time: Time


@event_class
class Param:
    """The first value of a key in topic order wins; another one is kept as a visible conflict."""

    TYPE: ClassVar = "param"
    key: Key
    value: Text
    time: Time


@event_class
class Tag:
    """The last value of a key in topic order wins."""

    TYPE: ClassVar = "tag"
    key: Key
    value: Text
    time: Time


@event_class
class TagDeleted:
    TYPE: ClassVar = "tag_deleted"
    key: Key
    time: Time


@event_class
class DatasetInput:
    """A dataset the run read. ``tags`` hold MLflow's context (training, validation) among others.

    ``stored`` names the fields that are too large for an event: field -> SHA-256 of its text, which lies in
    the artifact store (``artifact_paths.large_field``); the field itself is then empty.
    """

    TYPE: ClassVar = "dataset_input"
    name: Text
    digest: Text
    time: Time
    source_type: Text = ""
    source: Text = ""
    schema: Text = ""
    profile: Text = ""
    tags: Tags = dataclasses.field(default_factory=dict)
    stored: Tags = dataclasses.field(default_factory=dict)


@event_class
class ModelInput:
    TYPE: ClassVar = "model_input"
    model_id: Text
    time: Time


@event_class
class ModelOutput:
    TYPE: ClassVar = "model_output"
    model_id: Text
    step: Step
    time: Time


@event_class
class Artifact:
    """A pointer: published only after the file is in the store. The last pointer of a path wins."""

    TYPE: ClassVar = "artifact"
    path: Text
    uri: Text
    size: Count
    sha256: Text
    media_type: Text
    time: Time


@event_class
class ArtifactDeleted:
    """The pointers of a file, or of all files below a folder, go; the ledger keeps that they were there."""

    TYPE: ClassVar = "artifact_deleted"
    path: Text
    time: Time


@event_class
class ModelCreated:
    """A logged model; its stream is its source run, or its own id where it has none."""

    TYPE: ClassVar = "model_created"
    model_id: Text
    experiment_id: ExperimentId
    name: Text
    time: Time
    model_type: Text = ""
    source_run_id: Text = ""
    params: Tags = dataclasses.field(default_factory=dict)
    tags: Tags = dataclasses.field(default_factory=dict)


@event_class
class ModelFinalized:
    """``status`` is READY or FAILED; PENDING takes either back."""

    TYPE: ClassVar = "model_finalized"
    model_id: Text
    status: Text
    time: Time


@event_class
class ModelParams:
    TYPE: ClassVar = "model_params"
    model_id: Text
    params: Tags
    time: Time


@event_class
class ModelTags:
    TYPE: ClassVar = "model_tags"
    model_id: Text
    tags: Tags
    time: Time


@event_class
class ModelTagDeleted:
    TYPE: ClassVar = "model_tag_deleted"
    model_id: Text
    key: Key
    time: Time


@event_class
class ModelDeleted:
    TYPE: ClassVar = "model_deleted"
    model_id: Text
    time: Time


@event_class
class ModelArtifact:
    """A pointer to a file of a logged model, with a path relative to the model; else like `Artifact`."""

    TYPE: ClassVar = "model_artifact"
    model_id: Text
    path: Text
    uri: Text
    size: Count
    sha256: Text
    media_type: Text
    time: Time


@event_class
class SessionEnded:
    """A process that wrote to this run is gone; published by its machine's sender, under its own session.

    ``status`` is what becomes of a run that this session owned and did not end itself. ``clean`` says that
    everything the session appended was still readable. Published under ``session`` itself, it says that this
    one has left the run, which it had joined, or has said all it had to say; that ends no run.
    """

    TYPE: ClassVar = "session_ended"
    session: Text
    status: Status
    time: Time
    reason: Text = ""
    clean: bool = True


@event_class
class SessionLost:
    """Nothing was heard of a session for a time; `SessionFound` or any later event of its own revokes it."""

    TYPE: ClassVar = "session_lost"
    session: Text
    time: Time


@event_class
class SessionFound:
    """A session that was lost is in a sender's care again, though it may have nothing to say."""

    TYPE: ClassVar = "session_found"
    session: Text
    time: Time


@event_class
class RangeDeclared:
    """Records of ``session`` in this stream that will never arrive, and why.

    ``kind``: ``dropped`` (the spool was full), ``void`` (given up), ``rejected`` (the broker refused them),
    ``damaged`` (unreadable in the spool). The range is ``count`` records from ``first_seq``.
    """

    TYPE: ClassVar = "range_declared"
    session: Text
    first_seq: Count
    count: Count
    kind: Text
    time: Time
    reason: Text = ""


@event_class
class InstallationCreated:
    """Catalog. The first record of an installation, written when its topics are made; the first one counts.

    It carries what publishers must agree on for ever: the number of partitions of ``runstone.events`` at
    its creation. It lies in the ledger, so a read model that was lost is rebuilt with it.
    """

    TYPE: ClassVar = "installation_created"
    installation_id: Text
    partitions: Count
    time: Time


@event_class
class ExperimentCreated:
    """Catalog. Creating a name that exists changes nothing: clients announce theirs without asking.

    Like every event of the catalog that may be refused it may carry a ``request``: an id of 32 hexadecimal
    digits under which the projector leaves its verdict, for whoever waits for it.
    """

    TYPE: ClassVar = "experiment_created"
    name: Text
    time: Time
    tags: Tags = dataclasses.field(default_factory=dict)
    artifact_location: Text = ""
    request: Text = ""


@event_class
class ExperimentRenamed:
    TYPE: ClassVar = "experiment_renamed"
    experiment_id: ExperimentId
    name: Text
    time: Time
    request: Text = ""


@event_class
class ExperimentDeleted:
    TYPE: ClassVar = "experiment_deleted"
    experiment_id: ExperimentId
    time: Time
    request: Text = ""


@event_class
class ExperimentRestored:
    TYPE: ClassVar = "experiment_restored"
    experiment_id: ExperimentId
    time: Time
    request: Text = ""


@event_class
class ExperimentTag:
    TYPE: ClassVar = "experiment_tag"
    experiment_id: ExperimentId
    key: Key
    value: Text
    time: Time
    request: Text = ""


@event_class
class ExperimentTagDeleted:
    TYPE: ClassVar = "experiment_tag_deleted"
    experiment_id: ExperimentId
    key: Key
    time: Time
    request: Text = ""


@event_class
class RegisteredModelCreated:
    """Catalog, as are all of the registry: a name for the versions of a model."""

    TYPE: ClassVar = "registered_model_created"
    name: Text
    time: Time
    description: Text = ""
    tags: Tags = dataclasses.field(default_factory=dict)
    request: Text = ""


@event_class
class RegisteredModelRenamed:
    """Its versions, aliases and tags go with it."""

    TYPE: ClassVar = "registered_model_renamed"
    name: Text
    new_name: Text
    time: Time
    request: Text = ""


@event_class
class RegisteredModelUpdated:
    TYPE: ClassVar = "registered_model_updated"
    name: Text
    description: Text
    time: Time
    request: Text = ""


@event_class
class RegisteredModelDeleted:
    """The name is free again, its versions are gone from the read model; the ledger keeps them."""

    TYPE: ClassVar = "registered_model_deleted"
    name: Text
    time: Time
    request: Text = ""


@event_class
class RegisteredModelTag:
    TYPE: ClassVar = "registered_model_tag"
    name: Text
    key: Key
    value: Text
    time: Time
    request: Text = ""


@event_class
class RegisteredModelTagDeleted:
    TYPE: ClassVar = "registered_model_tag_deleted"
    name: Text
    key: Key
    time: Time
    request: Text = ""


@event_class
class RegisteredModelAlias:
    """The alias points to this version from now on, wherever it pointed before."""

    TYPE: ClassVar = "registered_model_alias"
    name: Text
    alias: Text
    version: Count
    time: Time
    request: Text = ""


@event_class
class RegisteredModelAliasDeleted:
    TYPE: ClassVar = "registered_model_alias_deleted"
    name: Text
    alias: Text
    time: Time
    request: Text = ""


@event_class
class ModelVersionCreated:
    """Its number is the next one of its model, by the order of the catalog; numbers are never used again.

    ``storage_location`` is where the files lie that ``source`` meant when the version was made; it is empty
    where that is ``source`` itself.
    """

    TYPE: ClassVar = "model_version_created"
    name: Text
    source: Text
    time: Time
    run_id: Text = ""
    run_link: Text = ""
    description: Text = ""
    model_id: Text = ""
    user: Text = ""
    tags: Tags = dataclasses.field(default_factory=dict)
    request: Text = ""
    storage_location: Text = ""


@event_class
class ModelVersionUpdated:
    TYPE: ClassVar = "model_version_updated"
    name: Text
    version: Count
    description: Text
    time: Time
    request: Text = ""


@event_class
class ModelVersionStaged:
    """``stage`` is None, Staging, Production or Archived, MLflow's four.

    With ``archive_existing`` all other versions of the model in that stage become Archived.
    """

    TYPE: ClassVar = "model_version_staged"
    name: Text
    version: Count
    stage: Text
    time: Time
    archive_existing: bool = False
    request: Text = ""


@event_class
class ModelVersionDeleted:
    TYPE: ClassVar = "model_version_deleted"
    name: Text
    version: Count
    time: Time
    request: Text = ""


@event_class
class ModelVersionTag:
    TYPE: ClassVar = "model_version_tag"
    name: Text
    version: Count
    key: Key
    value: Text
    time: Time
    request: Text = ""


@event_class
class ModelVersionTagDeleted:
    TYPE: ClassVar = "model_version_tag_deleted"
    name: Text
    version: Count
    key: Key
    time: Time
    request: Text = ""


@event_class
class Series:
    """Many points of one key in one record, as parallel columns of equal length (steps, times, values)."""

    TYPE: ClassVar = "series"
    key: SeriesKey
    steps: array[int]
    times: array[int]
    values: array[float]


RunEvent = (
    RunStarted | RunJoined | RunContext | RunEnded | RunRenamed | RunDeleted | RunRestored
    | Param | Tag | TagDeleted | DatasetInput | ModelInput | ModelOutput | Artifact | ArtifactDeleted
    | ModelCreated | ModelFinalized | ModelParams | ModelTags | ModelTagDeleted | ModelDeleted
    | ModelArtifact
    | SessionEnded | SessionLost | SessionFound | RangeDeclared | Series
)  # fmt: skip
CatalogEvent = (
    InstallationCreated
    | ExperimentCreated | ExperimentRenamed | ExperimentDeleted | ExperimentRestored
    | ExperimentTag | ExperimentTagDeleted
    | RegisteredModelCreated | RegisteredModelRenamed | RegisteredModelUpdated | RegisteredModelDeleted
    | RegisteredModelTag | RegisteredModelTagDeleted | RegisteredModelAlias | RegisteredModelAliasDeleted
    | ModelVersionCreated | ModelVersionUpdated | ModelVersionStaged | ModelVersionDeleted
    | ModelVersionTag | ModelVersionTagDeleted
)  # fmt: skip
Event = RunEvent | CatalogEvent


def _wrong(what: str, found: object) -> MalformedEnvelopeError:
    return MalformedEnvelopeError(f"expected {what}, found {str(found)[:80]!r}")


def check_text(value: object) -> None:
    if type(value) is not str:
        raise _wrong("a text", value)
    if "\0" in value:
        raise _wrong("a text without NUL characters, which Postgres cannot hold", value)


def check_key(value: object) -> None:
    """A key: 1 to 250 characters, none of them a control character."""
    check_text(value)
    assert isinstance(value, str)
    if not 1 <= len(value) <= limits.KEY_MAX or not (value.isprintable() or _without_controls(value)):
        raise _wrong(f"a key of 1 to {limits.KEY_MAX} characters without control characters", value)


def _without_controls(value: str) -> bool:
    return not any(c < " " or "\x7f" <= c <= "\x9f" for c in value)


def _integer(low: int, high: int, what: str) -> Callable[[object], None]:
    def check(value: object) -> None:
        if type(value) is not int or not low <= value <= high:
            raise _wrong(what, value)

    return check


def _check_status(value: object) -> None:
    if type(value) is not str or value not in STATUSES:
        raise _wrong(f"a status ({', '.join(STATUSES)})", value)


def _check_texts(value: object) -> None:
    if type(value) is not dict:
        raise _wrong("an object of texts", value)
    for key, text in value.items():
        check_key(key)
        check_text(text)


def _check_json(value: object, depth: int = 0) -> None:
    if depth == 0 and type(value) is not dict:
        raise _wrong("an object", value)
    if depth > 16:
        raise _wrong("an object nested at most 16 deep", "deeper nesting")
    if type(value) is str:
        check_text(value)
    elif type(value) is dict:
        for key, member in value.items():
            check_text(key)
            _check_json(member, depth + 1)
    elif type(value) is list:
        for member in value:
            _check_json(member, depth + 1)


def _check_bool(value: object) -> None:
    if type(value) is not bool:
        raise _wrong("true or false", value)


_CHECKS: Final[dict[str, Callable[[object], None]]] = {
    "Key": check_key,
    "Text": check_text,
    "Status": _check_status,
    "Time": _integer(0, limits.TIME_MAX, "a time in ms between 1970 and 9999"),
    "Step": _integer(limits.STEP_MIN, limits.STEP_MAX, "a 64-bit step"),
    "Count": _integer(0, limits.STEP_MAX, "a count"),
    "ExperimentId": _integer(0, limits.EXPERIMENT_ID_MAX, "an experiment id below 2**53"),
    "Json": _check_json,
    "Tags": _check_texts,
    "bool": _check_bool,
}


class _Shape(NamedTuple):
    make: Callable[..., Event]
    fields: tuple[tuple[str, Callable[[object], None], bool], ...]  # name, check, required


def _shape(cls: Any) -> _Shape:
    fields = dataclasses.fields(cls)
    missing = dataclasses.MISSING
    return _Shape(
        cls,
        tuple(
            (f.name, _CHECKS[str(f.type)], f.default is missing and f.default_factory is missing)
            for f in fields
        ),
    )


_SHAPES: Final = {
    cls.TYPE: _shape(cls) for cls in (*RunEvent.__args__, *CatalogEvent.__args__) if cls is not Series
}


def from_json(found: Mapping[str, Any]) -> Event:
    """The event in a decoded JSON object. Raises `MalformedEnvelopeError` naming the member that is wrong."""
    kind = found.get("type")
    shape = _SHAPES.get(kind) if type(kind) is str else None
    if shape is None:
        raise _wrong(f"an event type ({', '.join(_SHAPES)})", kind)
    values: dict[str, Any] = {}
    for name, check, required in shape.fields:
        if name in found:
            try:
                check(found[name])
            except MalformedEnvelopeError as wrong:
                raise MalformedEnvelopeError(f"{found['type']}.{name}: {wrong}") from None
            values[name] = found[name]
        elif required:
            raise MalformedEnvelopeError(f"{found['type']}.{name} is missing")
    return shape.make(**values)


def to_json(event: Event) -> dict[str, Any]:
    """The JSON object of any event but a `Series`: its type and the fields that differ from their default."""
    shape = _SHAPES[event.TYPE]
    found: dict[str, Any] = {"type": event.TYPE}
    for name, _check, required in shape.fields:
        value = getattr(event, name)
        if required or value != _default(type(event), name):
            found[name] = value
    return found


def _default(cls: Any, name: str) -> object:
    field = cls.__dataclass_fields__[name]
    return {} if field.default is dataclasses.MISSING else field.default
