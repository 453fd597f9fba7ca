"""Moments in which no other thread may fork: what a child must not inherit is open only in them.

A lock by ``flock`` lives as long as any copy of its descriptor. A child that was forked between the opening
of one and the line that takes it down would hold it for as long as it lives: a dead run would seem alive, or
no sender could start. A child that was forked while a thread of ours was importing a module would wait for
that import for ever, and a pipe that it inherited from ``subprocess`` would make its parent wait for it.

A thread enters such a moment by ``with no_fork():``; a fork waits for it, at most `PATIENCE_S`. Who forks
inside of it, from a signal handler say, does not wait for itself.

`generation` counts the forks between the first process and this one. Who was interrupted by a fork in its own
thread sees by it that it goes on in the child, where what it has begun is the parent's.
"""

import os
import threading
from contextlib import AbstractContextManager
from typing import Final

PATIENCE_S: Final = 1.0
"""How long a fork waits at most; such moments last for milliseconds."""

generation = 0
_guard = threading.RLock()
_waited = threading.local()


def no_fork() -> AbstractContextManager[bool]:
    """The lock to hold while no thread may fork."""
    return _guard


def _before() -> None:
    taken = _guard.acquire(timeout=PATIENCE_S)
    _waited.taken = [*getattr(_waited, "taken", ()), taken]


def _after_in_parent() -> None:
    if _waited.taken.pop():
        _guard.release()


def _after_in_child() -> None:
    global generation, _guard, _waited  # noqa: PLW0603  # a thread that is not here may hold them
    generation += 1
    _guard = threading.RLock()
    _waited = threading.local()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
