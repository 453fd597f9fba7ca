"""The last seconds of a process: a sender is seen to, and waited for where the spool goes with the process.

On a normal machine nobody waits: the spool stays, and the sender goes on when the training is gone. In a
container neither may be so. Where ``RUNSTONE_EXIT_TIMEOUT`` names a time, the exit waits so long for the
acknowledgement of the broker. Where it names none and the spool lies on a file system that goes with its
container, it waits `WAIT_S` while the server answers, and `SILENT_S` where it does not (`STARTING_S` while
the sender is still starting). It waits for the sessions of worker processes too that are gone already.

Runs in the main thread, at exit or in the handler of SIGTERM; takes the writers' locks for moments.
"""

import time
from collections.abc import Mapping
from typing import Final

import orjson

from runstone import notices
from runstone.spool.file_systems import goes_with_its_container
from runstone.spool.forking import no_fork
from runstone.spool.layout import SessionFolder
from runstone.spool.locks import is_held
from runstone.spool.session import Session

WAIT_S: Final = 30.0
SILENT_S: Final = 2.0
STARTING_S: Final = 5.0
SIGTERM_S: Final = 8.0
"""The longest waits: in all, where nothing answers, until a sender is there, and of a process that got
SIGTERM (container engines kill for good ten seconds later)."""

TELL_S: Final = 2.0
"""After so many seconds a person is told what is waited for."""

_STEP_S: Final = 0.02


def leave(sessions: Mapping[Session, float | None], began: float) -> None:
    """Do what the exit owes to *sessions*, each with its ``RUNSTONE_EXIT_TIMEOUT``.

    Args:
        sessions: of this process.
        began: when the exit began, by ``time.monotonic()``.
    """
    waiting = {session: most for session, most in sessions.items() if must_wait(session, most)}
    positions = {session: session.writer.position() for session in waiting}
    for session in sessions:
        session.finish()
    if waiting:
        _wait(waiting, positions, began, WAIT_S)


def must_wait(session: Session, timeout: float | None) -> bool:
    """Whether the exit waits for what *session* has appended."""
    if session.folder is None or session.writer.dead or session.launcher.nobody():
        return False
    return goes_with_its_container(session.folder.path) if timeout is None else timeout > 0


def wait(sessions: Mapping[Session, float | None], began: float, most: float) -> None:
    """Wait for *sessions*, those that named no time *most* seconds."""
    _wait(sessions, {session: session.writer.position() for session in sessions}, began, most)


def _wait(
    sessions: Mapping[Session, float | None],
    positions: Mapping[Session, tuple[int, int]],
    began: float,
    most: float,
) -> None:
    waits = [_Wait(session, positions[session], timeout, most) for session, timeout in sessions.items()]
    told = False
    while waits:
        elapsed = time.monotonic() - began
        waits = [each for each in waits if not each.over(elapsed)]
        if waits and elapsed >= TELL_S and not told:
            told = True
            left = max(each.longest for each in waits) - elapsed
            size = sum(each.session.backlog(each.position) for each in waits)
            files = sum(len(each.session.uploads) for each in waits)
            notices.say(
                f"waiting for the server to have everything: {size / 1e6:.1f} MB of records"
                f"{f' and {files} files' * bool(files)} to go, {left:.0f} s at most "
                "(RUNSTONE_EXIT_TIMEOUT; Ctrl-C leaves at once)"
            )
        if waits:
            time.sleep(_STEP_S)


class _Wait:
    """What is waited for in one session, and how long."""

    def __init__(
        self, session: Session, position: tuple[int, int], timeout: float | None, most: float
    ) -> None:
        self.session = session
        self.position = position
        self.longest = most if timeout is None else timeout
        self._patient = timeout is not None

    def over(self, elapsed: float) -> bool:
        """Whether all is delivered, or enough was waited."""
        session = self.session
        session.attend()
        if session.settled(self.position) and not _left_behind(session):
            return True
        if elapsed < self.longest and (self._patient or elapsed < SILENT_S or self._answered(elapsed)):
            return False
        session.show_finding()
        notices.warn_once(
            f"left {session.uri}",
            f"not everything has reached {session.uri}; the rest lies in {session.place}"
            + (
                ""
                if self._patient
                else ", which goes with this container: mount a volume there (RUNSTONE_SPOOL), or name a "
                "longer time by RUNSTONE_EXIT_TIMEOUT"
            ),
        )
        return True

    def _answered(self, elapsed: float) -> bool:
        return self.session.server_answers() or (elapsed < STARTING_S and self.session.launcher.needed())


def _left_behind(session: Session) -> bool:
    """Whether another session of the same destination, whose process is gone, is not delivered yet."""
    return any(
        _is_undelivered(folder, session.uri) for folder in session.neighbours() if not _is_alive(folder)
    )


def _is_undelivered(folder: SessionFolder, uri: str) -> bool:
    try:
        if orjson.loads(folder.json.read_bytes()).get("uri") != uri:
            return False
        return not folder.ended.exists() or any(folder.uploads.glob("*.json"))
    except (OSError, ValueError, AttributeError):
        return False  # it is gone, or never became a session


def _is_alive(folder: SessionFolder) -> bool:
    with no_fork():
        try:
            return is_held(folder.lock)
        except OSError:
            return True
