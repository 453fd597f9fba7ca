"""What this gateway wrote and the read model may not have yet, laid over what the read model says.

The read model alone would answer ``log_param(a, 1)``, ``log_param(a, 2)`` with two successes: the second is
checked before the first has been applied. So every write leaves here what it changed about its run, under
the offset that it gets once it is acknowledged, and every check looks here after the read model. An entry
goes when the read model is known to have applied it. Between gateways there is no such memory: a race that
is lost there becomes a conflict that the read model shows.

Pure: no I/O, no clock. Whoever uses it must not await between looking and inserting.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

Place = tuple[str, int]
Dataset = tuple[str, str]


class Mark(Protocol):
    """Where a write lies: its partition, and its offset once that is known."""

    @property
    def place(self) -> Place: ...
    @property
    def offset(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A run or a logged model, as the read model and this gateway's writes together have it.

    Attributes:
        fields: what there is about it besides the following (``lifecycle_stage``, ``status``, ``name``, …).
        params: those that were asked for and exist. tags: likewise. datasets: likewise, by name and digest.
    """

    fields: Mapping[str, Any]
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: frozenset[Dataset] = frozenset()


ENTRY_COST: Final = 500
"""Bytes, roughly, of an entry besides its value."""

_CREATED: Final = ""
"""The field under which an entry holds all fields of something that was created."""


@dataclass(slots=True)
class _Entries:
    fields: dict[str, tuple[Any, Mark]] = field(default_factory=dict)
    params: dict[str, tuple[str, Mark]] = field(default_factory=dict)
    tags: dict[str, tuple[str | None, Mark]] = field(default_factory=dict)
    datasets: dict[Dataset, tuple[None, Mark]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields or self.params or self.tags or self.datasets)


class Overlay:
    """Entries by the id of their run or model.

    Attributes:
        size: of all of them, in bytes, roughly.
    """

    def __init__(self) -> None:
        self.size = 0
        self._entries: dict[str, _Entries] = {}
        self._order: dict[Place, deque[tuple[Mark, str, str, str | Dataset, int]]] = {}

    def __len__(self) -> int:
        """How many subjects have entries."""
        return len(self._entries)

    def created(self, subject: str, fields: Mapping[str, Any], mark: Mark) -> None:
        """*subject* begins to exist with all its *fields*."""
        self._put(subject, "fields", _CREATED, dict(fields), mark)

    def changed(
        self,
        subject: str,
        mark: Mark,
        *,
        fields: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str | None] | None = None,
        datasets: Iterable[Dataset] = (),
    ) -> None:
        """Fields get these values, params and datasets are added, tags are set or (None) deleted."""
        for kind, changes in (("fields", fields), ("params", params), ("tags", tags)):
            for name, value in (changes or {}).items():
                self._put(subject, kind, name, value, mark)
        for dataset in datasets:
            self._put(subject, "datasets", dataset, None, mark)

    def has(self, subject: str) -> bool:
        """Whether this gateway created *subject* and the read model may not know it."""
        entries = self._entries.get(subject)
        return entries is not None and _CREATED in entries.fields

    def over(
        self,
        subject: str,
        found: Mapping[str, Any] | None,
        params: Iterable[str] = (),
        tags: Iterable[str] = (),
        datasets: Iterable[Dataset] = (),
    ) -> Subject | None:
        """*subject* as it is after this gateway's writes; None where it does not exist.

        *found* is what the read model says: its fields, ``params``, ``tags`` and ``datasets`` (name ->
        digests); None where it knows nothing. Of *params* and *tags*, which are keys, and *datasets* those
        that exist are in the answer.
        """
        entries = self._entries.get(subject) or _Entries()
        if found is None:
            if _CREATED not in entries.fields:
                return None
            found = {}
        merged: dict[str, Any] = {}
        if _CREATED in entries.fields:
            merged |= entries.fields[_CREATED][0]
        merged |= found
        merged |= {name: value for name, (value, _) in entries.fields.items() if name}
        kept = _among(found.get("params"), params)
        for key in params:
            if key not in kept and key in entries.params:
                kept[key] = entries.params[key][0]
        tagged = _among(found.get("tags"), tags)
        for key in tags:
            if key in entries.tags:
                value = entries.tags[key][0]
                if value is None:
                    tagged.pop(key, None)
                else:
                    tagged[key] = value
        applied = found.get("datasets") or {}
        read = frozenset(d for d in datasets if d in entries.datasets or d[1] in applied.get(d[0], ()))
        return Subject(merged, kept, tagged, read)

    def prune(self, place: Place, next_offset: int) -> None:
        """Forget what lies in the partition below *next_offset*: the read model has it."""
        order = self._order.get(place)
        while order:
            mark, subject, kind, name, size = order[0]
            if mark.offset is None or mark.offset >= next_offset:
                return
            order.popleft()
            self.size -= size
            self._drop(subject, kind, name, mark)

    def withdraw(self, mark: Mark) -> None:
        """A write will never be in the topic: what it left here was never true."""
        order = self._order.get(mark.place, deque())
        for entry in [entry for entry in order if entry[0] is mark]:
            order.remove(entry)
            _, subject, kind, name, size = entry
            self.size -= size
            self._drop(subject, kind, name, mark)

    def _put(self, subject: str, kind: str, name: str | Dataset, value: Any, mark: Mark) -> None:
        entries = self._entries.setdefault(subject, _Entries())
        getattr(entries, kind)[name] = value, mark
        size = ENTRY_COST + (len(value) if isinstance(value, str) else 0)
        self._order.setdefault(mark.place, deque()).append((mark, subject, kind, name, size))
        self.size += size

    def _drop(self, subject: str, kind: str, name: str | Dataset, mark: Mark) -> None:
        entries = self._entries.get(subject)
        if entries is None:
            return
        named = getattr(entries, kind)
        if name in named and named[name][1] is mark:
            del named[name]
        if not entries:
            del self._entries[subject]


def _among(found: Mapping[str, str] | None, keys: Iterable[str]) -> dict[str, str]:
    found = found or {}
    return {key: found[key] for key in keys if key in found}
