"""Ending what a killed ``up`` left behind, before the next one needs its ports and locks.

On Linux there is rarely anything: the kernel has told the children (see ``child``). A stopped child, or
another system, leaves some.
"""

import asyncio
import os
import signal
import time
from typing import Final

from runstone_local.process_identity import is_same
from runstone_local.state import PartState, State

_PATIENCE: Final = 5.0
"""Seconds for a service to stop; nothing is lost when it is killed then."""

_STORE_PATIENCE: Final = 15.0
"""Seconds for Kafka and Postgres, which write out what they hold so that the next start is quick."""

_STORES: Final = ("kafka", "postgres")
_POLL_SECONDS: Final = 0.02
_SIGNALS: Final = {"postgres": signal.SIGINT}


async def end_orphans(state: State) -> list[str]:
    """End the parts of *state* that still run; the names of those that did."""
    left = [part for part in state.parts if part.pid is not None and is_same(part.pid, part.start)]
    await asyncio.gather(*(_end(part) for part in left))
    return [part.name for part in left]


async def _end(part: PartState) -> None:
    assert part.pid is not None
    deadline = time.monotonic() + (_STORE_PATIENCE if part.name in _STORES else _PATIENCE)
    _send(part.pid, _SIGNALS.get(part.name, signal.SIGTERM))
    _send(part.pid, signal.SIGCONT)  # a stopped process would not hear the first
    while is_same(part.pid, part.start):
        if time.monotonic() > deadline:
            _send(part.pid, signal.SIGKILL)
        await asyncio.sleep(_POLL_SECONDS)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
