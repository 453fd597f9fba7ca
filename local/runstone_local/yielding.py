"""Lets the user's programs have the processor before the stack: it often runs on the machine that trains.

Linux shares processors among sessions first (``autogroup``, sched(7)), and among processes by their nice
values only within one. Each child leads a session of its own, and so does each of Postgres's processes, which
come and go; hence all descendants of ``up`` are looked through again and again, once they are ready: a start
is what somebody waits for.
"""

import asyncio
import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

NICE: Final = 10
"""A ninth of another program's weight: where processors are short, ingest takes what is left."""

AGAIN_SECONDS: Final = 10.0

_PROC: Final = Path("/proc")


async def keep_yielding() -> None:
    """Make every descendant of this process nice, again and again; for ever."""
    known: set[int] = set()
    while True:
        known = yield_to_others(known)
        await asyncio.sleep(AGAIN_SECONDS)


def yield_to_others(known: Collection[int]) -> set[int]:
    """Make the descendants of this process nice that are not *known*; all there are now."""
    found = descendants(os.getpid())
    for pid in found.difference(known):
        with contextlib.suppress(OSError):  # it has ended, or the kernel has no sessions' shares
            for thread in (_PROC / str(pid) / "task").iterdir():
                os.setpriority(os.PRIO_PROCESS, int(thread.name), NICE)
            (_PROC / str(pid) / "autogroup").write_text(str(NICE))
    return found


def descendants(pid: int) -> set[int]:
    """All processes below *pid*, as far as the system tells; none where it does not."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(OSError):
        for entry in _PROC.iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                    children.setdefault(int(parent), []).append(int(entry.name))
    found, look_at = set[int](), [pid]
    while look_at:
        below = children.get(look_at.pop(), [])
        found.update(below)
        look_at += below
    return found
