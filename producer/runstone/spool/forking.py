"""What a fork must not fall into: moments in which a child would inherit what only its parent can finish.

A lock by ``flock`` lives as long as any copy of its descriptor. A child that was forked between the opening
of one and the line that takes it down would hold it for as long as it lives: a dead run would seem alive, or
no sender could start. A child that was forked while a thread of ours was importing a module would wait for
that import for ever, and a pipe that it inherited from ``subprocess`` would make its parent wait for it. And
a child in which another thread's call of the spool is half done could never make one.

So a fork waits for such moments, at most `PATIENCE_S`: a thread enters one by ``with no_fork():``, and the
locks named by `hold_over_forks` are taken by the forking thread, in the order in which they were named. Who
forks inside of one, from a signal handler say, does not wait for itself. `renew` is for locks that are taken
more seldom, and for what was waited for in vain.

`generation` counts the forks between the first process and this one. Who was interrupted by a fork in its own
thread sees by it that it goes on in the child, where what it has begun is the parent's.
"""

import errno
import os
import threading
import weakref
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, Final

PATIENCE_S: Final = 1.0
"""How long a fork waits at most; such moments last for milliseconds."""

generation = 0
_guard: Final[Any] = threading.RLock()
_locks: "tuple[weakref.ref[Any], ...]" = ()
_waited = threading.local()


def no_fork() -> AbstractContextManager[bool]:
    """The lock to hold while no thread may fork; no other one may be waited for inside."""
    return _guard  # type: ignore[no-any-return]  # the stubs hide what Condition uses of it


def hold_over_forks(lock: threading.RLock) -> None:
    """Let forks wait for whoever holds *lock*, as long as it is used."""
    global _locks  # noqa: PLW0603  # replaced as a whole, so that nobody needs a lock to read it
    with _guard:
        _locks = (*(each for each in _locks if each() is not None), weakref.ref(lock))


def renew(lock: threading.RLock) -> None:
    """In a child: free *lock* where another thread of the parent held it. It stays the same object.

    The thread that is here may have been interrupted while it held the lock, and will release it, or while it
    waited for it, and waits still: so the very lock below is released, by what ``threading.Condition`` uses,
    rather than replaced.
    """
    inner: Any = lock
    if inner._is_owned():  # noqa: SLF001  # see above
        return
    try:
        inner._release_save()  # noqa: SLF001  # see above
    except RuntimeError:
        if lock.acquire(blocking=False):
            lock.release()
        else:  # a thread had got it and not taken that down yet
            inner._at_fork_reinit()  # noqa: SLF001  # as ``logging`` does


def check(began: int) -> None:
    """Look whether this is the process that it was when `generation` was *began*.

    Raises:
        OSError: a signal handler has forked, and this is the child.
    """
    if generation != began:
        raise OSError(errno.EINTR, os.strerror(errno.EINTR))


def _before() -> None:
    found = [lock for lock in (*(each() for each in _locks), _guard) if lock is not None]
    # Taken down before any is taken: an exception that a signal handler raises in here is swallowed.
    missing = [lock for lock in found if not lock._is_owned()]  # noqa: SLF001  # as threading.Condition does
    _waited.for_them = [*getattr(_waited, "for_them", ()), missing]
    deadline = monotonic() + PATIENCE_S
    for lock in missing:
        lock.acquire(timeout=max(0.0, deadline - monotonic()))


def _after() -> None:
    waited = getattr(_waited, "for_them", None)
    for lock in reversed(waited.pop() if waited else []):
        if lock._is_owned():  # noqa: SLF001  # see above
            lock.release()


def _after_in_child() -> None:
    global generation, _waited  # noqa: PLW0603  # a process has one of them
    generation += 1
    _after()
    _waited = threading.local()
    renew(_guard)


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
