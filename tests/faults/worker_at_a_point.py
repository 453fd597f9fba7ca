"""`runstone worker` that sends itself a signal when it reaches a named point for the nth time.

python -m tests.faults.worker_at_a_point POINT NTH SIGNAL. The points are put around the real functions from
outside, so the worker itself knows nothing of them.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from runstone import cli
from runstone_ingest import merge_step, writer
from runstone_ingest.ownership import Ownership
from tests.faults.merging_worker import merge_at_once

left = 0
number = signal.SIGKILL


def reached() -> None:
    global left  # noqa: PLW0603 - a program of one point
    left -= 1
    if left == 0:
        os.kill(os.getpid(), number)


def before(function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapped(*args: Any, **more: Any) -> Any:
        reached()
        return await function(*args, **more)

    return wrapped


def after(function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapped(*args: Any, **more: Any) -> Any:
        answer = await function(*args, **more)
        reached()
        return answer

    return wrapped


def within(stream: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapped(*args: Any) -> Any:
        async for piece in stream(*args):
            half = len(piece) // 2
            yield piece[:half]
            reached()
            yield piece[half:]

    return wrapped


POINTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "taken over": (Ownership, "take", after),
    "before BEGIN": (writer, "write", before),
    "offsets moved": (writer, "_advance", after),
    "inside COPY": (writer, "_stream", within),
    "before COMMIT": (writer, "_rows", after),
    "after COMMIT": (writer, "write", after),
    "told": (writer, "tell_applied", after),
    "chunks deleted": (merge_step, "_take", after),
    "inside a merge's COPY": (merge_step, "_stream", within),
    "before a merge's COMMIT": (merge_step, "_merge", after),
}


def run(point: str, nth: str, name: str) -> int:
    global left, number
    left, number = int(nth), signal.Signals[name]
    merge_at_once()
    where, function, how = POINTS[point]
    setattr(where, function, how(getattr(where, function)))
    return cli.main(["worker"])


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
