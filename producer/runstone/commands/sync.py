"""``runstone sync [DIR]``: sends what lies in a spool, now and in the foreground.

For machines that log offline, and for spools that were brought from one. What was sent is remembered in the
spool where it can be written; sent once more, from a copy or at the same time, it doubles nothing.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runstone.sender.adoption import Session
    from runstone.sender.brought import Brought
    from runstone.sender.draining import Outcome
    from runstone.spool.layout import MachineFolder

HELP = "send what lies in a spool, such as one of an offline machine"

LINES_EVERY: Final = 5.0
REDRAW_EVERY: Final = 0.2
"""Seconds between two words on the progress, where there is no terminal and where there is one."""

WATCH_MOST: Final = 45.0
"""Seconds to watch another sender that gets nowhere."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "spool",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="a spool, or the folder of one machine in it (default: this user's own spool)",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="send sessions of which nothing was sent yet to the server at this address, instead of the one "
        "that they were logged for; the others only if it is the same installation",
    )


def run(args: argparse.Namespace) -> int:
    """Send; 0 when nothing is left, 1 when something is, 130 after Ctrl-C."""
    import logging
    import tempfile

    from runstone.configuration import check_tracking_uri
    from runstone.sender.brought import Unusable, bring, machine_folders, orders_of, sessions_of
    from runstone.sender.kafka_settings import kafka_settings
    from runstone.sender.replacing import read_json
    from runstone.spool.layout import spool_root

    root = args.spool.absolute() if args.spool else spool_root()
    if args.spool is None and not root.exists():
        print(f"there is no spool {root}: nothing to send")
        return 0
    security = kafka_settings()
    address = _address(check_tracking_uri(args.tracking_uri)) if args.tracking_uri else None
    os.umask(0o077)
    progress = Progress()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: progress.say(record.getMessage())  # type: ignore[method-assign]
    logging.basicConfig(handlers=[handler])
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    left: list[str] = []
    brought: list[Brought] = []
    with tempfile.TemporaryDirectory(prefix="runstone-sync-") as scratch:
        for folder in machine_folders(root):
            try:
                brought.append(bring(folder, Path(scratch)))
            except Unusable as unusable:
                left.append(str(unusable))
        put_aside = {path for each in brought for path in _rejected(each)}
        before = sum(orders_of(s) for each in brought for s in sessions_of(_served(each)))
        outcome = _drain(brought, security, address, progress)
        progress.show(outcome, surely=True)
        if not outcome.interrupted:
            for each in brought:
                if each.lease is None:
                    left += _watch(each, progress)
        after = sum(orders_of(s) for each in brought for s in sessions_of(_served(each)))
        for path in (path for each in brought for path in _rejected(each)):
            if path not in put_aside:
                left.append(f"{path.name}, for good: {(read_json(path) or {}).get('reason')}")
        progress.end()
    return _report(root, outcome, left + outcome.left, max(0, before - after))


def _served(brought: "Brought") -> "MachineFolder":
    return brought.lease.folder if brought.lease else brought.origin


def _rejected(brought: "Brought") -> list[Path]:
    """What the broker or the store has refused for good."""
    return sorted(_served(brought).rejected.glob("*.json"))


def _address(uri: str) -> "Callable[[Session], str]":
    from runstone.sender.connect import ask

    installation = ask(uri).installation_id

    def address(session: "Session") -> str:
        return uri if session.installation in {"", installation} else session.uri

    return address


def _drain(
    brought: "Sequence[Brought]",
    security: dict[str, Any],
    address: "Callable[[Session], str] | None",
    progress: "Progress",
) -> "Outcome":
    import asyncio

    from runstone.sender.draining import Draining, Outcome

    leases = [each.lease for each in brought if each.lease is not None]
    if not leases:
        return Outcome()
    return asyncio.run(Draining(leases, security, address, progress.show).run())


def _watch(brought: "Brought", progress: "Progress") -> list[str]:
    """Wait for the sender that serves a folder; what is left when it gets nowhere."""
    import time

    from runstone.sender.brought import sessions_of, unsent
    from runstone.sender.replacing import read_json

    folder = brought.origin
    told = read_json(folder.sender_json) or {}
    progress.say(f"a sender (pid {told.get('pid')}) is at work on {folder.path}: waiting for it")
    moved, mark = time.monotonic(), ""
    while waiting := [session for session in sessions_of(folder) if unsent(session)]:
        now = "".join(f"{s.session}{s.ack.stat().st_mtime_ns if s.ack.exists() else 0}" for s in waiting)
        if now != mark:
            moved, mark = time.monotonic(), now
        if time.monotonic() - moved > WATCH_MOST:
            return [f"{len(waiting)} sessions in {folder.path}: its sender's log is {told.get('log')}"]
        time.sleep(REDRAW_EVERY)
    return []


def _report(root: Path, outcome: "Outcome", left: list[str], artifacts: int) -> int:
    if outcome.records or artifacts:
        files = f" and {_count(artifacts, 'artifact')}" if artifacts else ""
        print(f"sent {_count(outcome.records, 'record')}{files} from {root}")
    elif not left and not outcome.interrupted:
        print(f"there is nothing left to send in {root}")
    if outcome.live:
        print(
            f"{_count(outcome.live, 'session')} can still be written to: what was written so far is sent; "
            "run 'runstone sync' once more when they have ended"
        )
    for each in left:
        print(f"left: {each}")
    if outcome.interrupted:
        print("interrupted: what was sent stays sent, 'runstone sync' goes on with the rest")
        return 130
    return 1 if left else 0


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


class Progress:
    """One line on stderr that is drawn again, or a line now and then where nobody watches."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = ""
        self._due = 0.0
        self._began = 0.0

    def show(self, outcome: "Outcome", *, surely: bool = False) -> None:
        """Tell how far it is, unless that was told a moment ago; *surely*: do, on a terminal."""
        import time

        now = time.monotonic()
        self._began = self._began or now
        if now < self._due and not (surely and self._terminal):
            return
        first, self._due = not self._due, now + (REDRAW_EVERY if self._terminal else LINES_EVERY)
        pace = outcome.records / max(now - self._began, 0.1)
        line = (
            f"{outcome.done} of {_count(outcome.sessions, 'session')} sent, "
            f"{_count(outcome.records, 'record')} ({outcome.size / 2**20:,.1f} MiB), {pace:,.0f} a second"
        )
        if self._terminal:
            print(f"\r{line}".ljust(len(self._shown)), end="", file=sys.stderr, flush=True)
            self._shown = line
        elif not first and line != self._shown:
            print(line, file=sys.stderr, flush=True)
            self._shown = line

    def say(self, line: str) -> None:
        """Tell something else."""
        self.end()
        print(f"runstone: {line}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line as it is."""
        if self._terminal and self._shown:
            print(file=sys.stderr)
            self._shown = ""
