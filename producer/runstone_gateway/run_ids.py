"""The id of a run that a client asks to create, made so that a retry after a restart finds the same run.

MLflow's client does not choose ids and retries a creation whose answer was lost. This gateway joins retries
while it lives (`undelivered`); for a retry that comes after a restart the id itself is derived from the
request: its start time, its bytes, this gateway's own name, and how many equal requests came before. Only
requests that were made just now qualify: one without a start time of its own may be sent again on purpose
years later.

What is counted are the runs that were begun: a number that was given to a request which then failed goes
to the next equal one. So the numbers of the runs that there are have no gaps, and counting from 0 after a
restart finds them.
"""

import hashlib
import socket
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runstone.events.identity import new_run_id

RECENT_MS: Final = 600_000
"""A start time this close to now is that of the request."""

COUNTED_MOST: Final = 50_000
"""Requests whose repetitions are counted; the oldest are forgotten first."""


class RunIds:
    """Makes ids on the gateway's loop; *address* is where this gateway listens."""

    def __init__(self, address: str) -> None:
        self._salt = f"{socket.gethostname()} {address}\n".encode()
        self._taken: OrderedDict[bytes, set[int]] = OrderedDict()

    @contextmanager
    def taken(self, body: bytes, start_time: int | None, now: int) -> Iterator[str]:
        """The id for the run that *body* asks for; given back where the context ends with an exception.

        *start_time* (None: it names none) and *now* are in ms.
        """
        if start_time is None or abs(now - start_time) > RECENT_MS:
            yield new_run_id(now)
            return
        digest = hashlib.sha256(self._salt + body).digest()
        taken = self._taken.setdefault(digest, set())
        self._taken.move_to_end(digest)
        if len(self._taken) > COUNTED_MOST:
            self._taken.popitem(last=False)
        nth = next(n for n in range(len(taken) + 1) if n not in taken)
        taken.add(nth)
        try:
            yield _uuid7(start_time, hashlib.sha256(digest + b"%d" % nth).digest())
        except BaseException:
            taken.discard(nth)
            raise


def _uuid7(ms: int, random: bytes) -> str:
    bits = int.from_bytes(random[:10], "big")
    value = (
        (ms & (1 << 48) - 1) << 80
        | 0x7 << 76
        | (bits >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | bits & (1 << 62) - 1
    )
    return f"{value:032x}"
