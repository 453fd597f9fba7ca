"""Which records cannot be applied, and why: everything is checked before anything of a record is used.

The headers are read first, because they account for a record whose value cannot be read; then key, topic and
partition must fit them, then the value must decode and say the same, and last everything in it must fit into
the read model. The reason goes into ``dead_letters`` for a person to read.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from runstone.events import CATALOG, VERSION, Envelope, decode, limits, types
from runstone.exceptions import MalformedEnvelopeError
from runstone_ingest.projector.registry import RegistryEvent
from runstone_ingest.records import Address, Admitted, DeadLetter, Record, storable

_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_HEADERS: Final = ("v", "session", "stream", "first_seq", "n")
_VERSION: Final = b"%d" % VERSION
_DIGITS_MAX: Final = 19
_STAGES: Final = ("None", "Staging", "Production", "Archived")

_SURELY_FITS: Final = limits.INDEXED_MAX // 4
"""Characters that take no more bytes of UTF-8 than an index takes, whichever they are."""

PartitionOf = Callable[[str], int]


def admit(record: Record, catalog: bool, partition_of: PartitionOf) -> Admitted | DeadLetter:
    """*record* decoded, or the reason why not.

    Args:
        record: as it came.
        catalog: whether it came from the catalog's topic.
        partition_of: the partition of the events topic that carries a stream.
    """
    address = None
    accountable = False
    try:
        address = _address(record)
        _check_place(record, address, catalog, partition_of)
        accountable = True
        envelope = decode(record.value or b"")
        _check_content(envelope, address)
    except MalformedEnvelopeError as wrong:
        return DeadLetter(record, storable(str(wrong)), address, accountable)
    return Admitted(record, envelope)


def address_of(envelope: Envelope) -> Address:
    """What the headers of *envelope* should say."""
    return Address(envelope.session, envelope.stream, envelope.first_seq, envelope.n)


def _check_content(envelope: Envelope, address: Address) -> None:
    said = address_of(envelope)
    if said != address:
        raise MalformedEnvelopeError(f"the headers say {_words(address)}, the value says {_words(said)}")
    for event in envelope.events:
        check = _CHECKS.get(type(event))
        if check is not None:
            check(event)
        if envelope.stream == CATALOG:
            _check_request(event)
    for key in envelope.points.keys:
        if len(key.key) > _SURELY_FITS or key.model_id or key.dataset_name or key.dataset_digest:
            _check_series(key)


def _words(address: Address) -> str:
    return f"records {address.first_seq}+{address.n} of session {address.session} in stream {address.stream}"


def _address(record: Record) -> Address:
    found = dict(record.headers)
    missing = [name for name in _HEADERS if found.get(name) is None]
    if missing:
        raise MalformedEnvelopeError(f"headers: {', '.join(missing)} missing")
    version = found["v"]
    if version != _VERSION:
        raise MalformedEnvelopeError(
            f"header v: version {version[:20]!r} of the contract is unknown here; expected {VERSION}"
        )
    first_seq, n = _number(found, "first_seq"), _number(found, "n")
    if n < 1 or first_seq + n > limits.STEP_MAX:
        raise MalformedEnvelopeError(f"headers: {n} records from {first_seq} are no range of seqs")
    return Address(_id("session", found["session"]), _id("stream", found["stream"]), first_seq, n)


def _number(found: dict[str, bytes], name: str) -> int:
    said = found[name]
    if not said.isdigit() or len(said) > _DIGITS_MAX:
        raise MalformedEnvelopeError(f"header {name}: expected a number from 0, found {said[:40]!r}")
    return int(said)


@lru_cache(65_536)
def _id(name: str, said: bytes) -> str:
    text = said.decode("utf-8", "replace")
    if not _ID.fullmatch(text):
        raise MalformedEnvelopeError(
            f"header {name}: expected an id of 1 to 64 letters, digits, - and _, found {text[:80]!r}"
        )
    return text


def _check_place(record: Record, address: Address, catalog: bool, partition_of: PartitionOf) -> None:
    if record.key != address.stream.encode():
        found = (record.key or b"")[:80]
        raise MalformedEnvelopeError(f"key: expected the stream {address.stream!r}, found {found!r}")
    if (address.stream == CATALOG) != catalog:
        where = "the events topic" if address.stream != CATALOG else "the catalog's topic"
        raise MalformedEnvelopeError(f"the stream {address.stream!r} belongs into {where}")
    expected = 0 if catalog else partition_of(address.stream)
    if record.partition != expected:
        raise MalformedEnvelopeError(
            f"the stream {address.stream} belongs into partition {expected}, found in {record.partition}: "
            f"the publisher hashes otherwise than docs/events.md says"
        )


def _fits(what: str, *texts: str) -> None:
    found = sum(len(text.encode()) for text in texts)
    if found > limits.INDEXED_MAX:
        raise MalformedEnvelopeError(
            f"{what}: expected at most {limits.INDEXED_MAX} bytes of UTF-8, found {found}"
        )


def _check_series(key: types.SeriesKey) -> None:
    _fits("a metric's key, model and dataset together", *key)


def _check_experiment_name(event: Any) -> None:
    if not 1 <= len(event.name) <= limits.EXPERIMENT_NAME_MAX:
        raise MalformedEnvelopeError(
            f"{event.TYPE}.name: expected 1 to {limits.EXPERIMENT_NAME_MAX} characters, "
            f"found {len(event.name)}"
        )


def _check_request(event: Any) -> None:
    request = getattr(event, "request", "")
    if request and not _ID.fullmatch(request):
        raise MalformedEnvelopeError(
            f"{event.TYPE}.request: expected an id of 1 to 64 letters, digits, - and _, "
            f"found {request[:80]!r}"
        )


def _check_registered(event: Any) -> None:
    for member in ("name", "new_name", "alias"):
        text = getattr(event, member, None)
        if text is not None and not 1 <= len(text) <= limits.REGISTERED_NAME_MAX:
            raise MalformedEnvelopeError(
                f"{event.TYPE}.{member}: expected 1 to {limits.REGISTERED_NAME_MAX} characters, "
                f"found {len(text)}"
            )


def _check_version(event: types.ModelVersionCreated) -> None:
    _check_registered(event)
    _fits(f"{event.TYPE}.run_id", event.run_id)
    _fits(f"{event.TYPE}.model_id", event.model_id)


def _check_stage(event: types.ModelVersionStaged) -> None:
    _check_registered(event)
    if event.stage not in _STAGES:
        raise MalformedEnvelopeError(
            f"{event.TYPE}.stage: expected {', '.join(_STAGES)}, found {event.stage[:80]!r}"
        )


def _check_model_id(event: Any) -> None:
    _fits(f"{event.TYPE}.model_id", event.model_id)


def _check_model(event: types.ModelCreated) -> None:
    _check_model_id(event)
    _fits(f"{event.TYPE}.source_run_id", event.source_run_id)


def _check_model_status(event: types.ModelFinalized) -> None:
    _check_model_id(event)
    if event.status not in {"READY", "FAILED", "PENDING"}:
        raise MalformedEnvelopeError(
            f"{event.TYPE}.status: expected READY, FAILED or PENDING, found {event.status[:80]!r}"
        )


def _check_range(event: types.RangeDeclared) -> None:
    _fits(f"{event.TYPE}.session", event.session)
    if event.first_seq + event.count > limits.STEP_MAX:
        raise MalformedEnvelopeError(
            f"{event.TYPE}: {event.count} records from {event.first_seq} are no range"
        )


def _check_partitions(event: types.InstallationCreated) -> None:
    if not 1 <= event.partitions <= 10_000:
        raise MalformedEnvelopeError(
            f"{event.TYPE}.partitions: expected 1 to 10000, found {event.partitions}"
        )


_CHECKS: Final[dict[type, Callable[[Any], None]]] = {
    types.Series: lambda event: _check_series(event.key),
    types.Artifact: lambda event: _fits("artifact.path", event.path),
    types.DatasetInput: lambda event: _fits("dataset_input: name and digest", event.name, event.digest),
    types.RunStarted: lambda event: _fits("run_started.parent_run_id", event.parent_run_id),
    types.ModelInput: _check_model_id,
    types.ModelOutput: _check_model_id,
    types.ModelCreated: _check_model,
    types.ModelFinalized: _check_model_status,
    types.ModelParams: _check_model_id,
    types.ModelTags: _check_model_id,
    types.ModelTagDeleted: _check_model_id,
    types.ModelDeleted: _check_model_id,
    types.ModelArtifact: lambda event: _fits("model_artifact: model_id and path", event.model_id, event.path),
    types.SessionEnded: lambda event: _fits("session_ended.session", event.session),
    types.SessionLost: lambda event: _fits("session_lost.session", event.session),
    types.SessionFound: lambda event: _fits("session_found.session", event.session),
    types.RangeDeclared: _check_range,
    types.InstallationCreated: _check_partitions,
    types.ExperimentCreated: _check_experiment_name,
    types.ExperimentRenamed: _check_experiment_name,
    **dict.fromkeys(RegistryEvent.__args__, _check_registered),
    types.ModelVersionCreated: _check_version,
    types.ModelVersionStaged: _check_stage,
}
