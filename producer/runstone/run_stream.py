"""A run's stream in the session of this process: what every part of a `Run` stands on."""

import threading
import time
from typing import NamedTuple

from runstone.events.types import Event
from runstone.spool.session import Session


class Identity(NamedTuple):
    """What a run is called: its id, its experiment's id and its name ("" where only the server knows it)."""

    run_id: str
    experiment_id: int
    name: str


def now_ms() -> int:
    """The wall clock as the contract's time."""
    return time.time_ns() // 1_000_000


class RunStream:
    """Where the calls of one run append what they record; `Run` says what the attributes are."""

    def __init__(self, identity: Identity, session: Session, *, rank: int, owned: bool, strict: bool) -> None:
        self.run_id, self.experiment_id, self.name = identity
        self.ended = False
        self.inherited = False
        self.entered = False
        self.thread = threading.get_ident()
        self.apart = False
        self._session = session
        self._stream = session.writer.stream(identity.run_id)
        self._point = session.writer.point
        self._rank = rank
        self._owned = owned
        self._strict = strict

    def _event(self, event: Event) -> None:
        self._session.writer.event(self._stream, event)
